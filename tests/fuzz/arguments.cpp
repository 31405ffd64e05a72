// A command line, its words divided by NUL.
#include "app/arguments.h"

#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    std::vector<std::string> argv{"plyfs"};
    const auto text = fuzz::text_of(data, size);
    for (std::size_t from = 0; from < text.size();) {
        const auto end = std::min(text.find('\0', from), text.size());
        argv.emplace_back(text.substr(from, end - from));
        from = end + 1;
    }
    for (const auto manner : {app::Manner::person, app::Manner::helper, app::Manner::drop_in}) {
        std::vector<std::string> errors;
        const auto arguments = app::read_arguments(argv, manner, errors);
        fuzz::claim(arguments.words.size() + arguments.option_strings.size() < argv.size(), "no argument is made up");
        for (const auto& error : errors) fuzz::claim(!error.empty(), "a fault is told");
    }
    return 0;
}

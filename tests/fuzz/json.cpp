// A line that somebody sends to the control socket, or that plyctl gets from one.
#include "base/json.h"

#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    std::string fault;
    const auto json = Json::read(fuzz::text_of(data, size), fault);
    fuzz::claim(json.has_value() == fault.empty(), "what is refused is told of");
    if (!json) return 0;
    const std::string written = json->write();
    fuzz::claim(written.find('\n') == std::string::npos, "a value is written in one line");
    const auto again = Json::read(written, fault);
    fuzz::claim(again.has_value(), "what is written can be read");
    fuzz::claim(again->write() == written, "and is the same");
    return 0;
}

// -o, as anybody may write it in fstab. What config= names is not read: it may be any file of this machine.
#include <algorithm>

#include "config/option_words.h"
#include "config/options.h"
#include "settled.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    config::Draft draft;
    draft.base = "/base/";
    draft.sloppy = size % 2;
    std::vector<config::OptionWord> words;
    try {
        words = config::split_words(fuzz::text_of(data, size));
    } catch (const config::BadValue&) {
        return 0;
    }
    std::erase_if(words, [](const config::OptionWord& word) {
        const auto match = config::find_option(word.name);
        return match && match->option->name == "config";
    });
    config::apply_words(draft, words);
    fuzz::claim_settled(draft);
    return 0;
}

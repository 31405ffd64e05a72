// The -o string: words with commas between. "\," is a comma of the word; double quotes around a value protect
// its commas; empty words (",,") are passed over, as container engines write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/draft.h"

namespace plyfs::config {

struct OptionWord {
    std::string name;
    std::optional<std::string> value;
};

// BadValue for a quote that is not closed. Other backslashes are left for the value's own syntax.
std::vector<OptionWord> split_words(std::string_view options);

// The file named by config= is read first, wherever the word stands, so that words override it. Faults go
// into the draft.
void apply_words(Draft& draft, const std::vector<OptionWord>& words);
// Each word alone: no file is read.
void apply_each(Draft& draft, const std::vector<OptionWord>& words);

}  // namespace plyfs::config

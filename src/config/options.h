// The one table of options: -o words, YAML keys, --help and the manual's check all come from it. A new option
// is a row here and a field in Config.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/draft.h"
#include "config/value.h"

namespace plyfs::config {

// Which use of plyfs an option is for; in the other one it is a notice.
enum class Use { both, pool, layers };

// The headings of --help.
enum class Group { tree, placement, files, layers, access, caching, data, kernel, process, fstab };
std::string_view group_title(Group group);

struct Option {
    Group group;
    std::string_view name;      // also the YAML key; '-' and '_' are the same in all names
    std::string_view negative;  // of a flag: the word that switches it off
    std::string_view aliases;   // further words for the same, with spaces between
    Kind kind;
    std::string_view values;    // of Kind::words: "a|b|c"; of others what --help shows after the '='
    std::string_view fallback;  // the default, in words
    Use use;
    std::string_view help;
    void (*set)(Draft&, const Value&);  // nullptr: mount(8) has acted on it, nothing is left to do
};

std::span<const Option> option_table();

struct Match {
    const Option* option = nullptr;
    bool negative = false;
    std::string_view word;  // the row's word that it was
};
// By any of a row's words. A row whose name ends in '*' matches by what is before it.
std::optional<Match> find_option(std::string_view word);

// The known word with the fewest typing errors between, or empty if none is near.
std::string nearest_option(std::string_view word);

// "unknown option 'creat'; did you mean 'create'?"
std::string unknown_option(std::string_view word);

// Reads and sets one option; the value's text as written, none for a bare word. BadValue.
void apply_option(Draft& draft, const Match& match, const std::optional<std::string>& text, Written where);
// The same with the value already read; written: what it was read from.
void set_option(Draft& draft, const Match& match, Value value, std::string_view written);

}  // namespace plyfs::config

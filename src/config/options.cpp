#include "config/options.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "config/error.h"
#include "config/nearest.h"

namespace plyfs::config {
namespace {

std::string folded(std::string_view word) {
    std::string out(word);
    std::replace(out.begin(), out.end(), '-', '_');
    return out;
}

// Calls f with every word of a row, and whether it is the one that switches off, until f says true.
template <typename F>
bool any_word(const Option& row, F f) {
    if (f(row.name, false) || (!row.negative.empty() && f(row.negative, true))) return true;
    for (std::size_t i = 0; i < row.aliases.size();) {
        const std::size_t end = std::min(row.aliases.find(' ', i), row.aliases.size());
        if (f(row.aliases.substr(i, end - i), false)) return true;
        i = end + 1;
    }
    return false;
}

bool matches(std::string_view pattern, const std::string& word) {
    if (pattern.ends_with('*')) {
        pattern.remove_suffix(1);
        return folded(word).starts_with(folded(pattern));
    }
    return folded(pattern) == word;
}

}  // namespace

std::string_view group_title(Group group) {
    constexpr std::array<std::string_view, 10> kTitles = {
        "What is merged",     "Where things go in a pool",     "How a pool shows its files", "How layers are kept",
        "Who may do what",    "What the kernel may remember",  "How data is served",         "Handed on to the kernel",
        "The program itself", "Words of fstab(5) and mount(8)"};
    return kTitles[static_cast<std::size_t>(group)];
}

std::optional<Match> find_option(std::string_view word) {
    const std::string wanted = folded(word);
    for (const Option& row : option_table()) {
        Match match;
        const bool found = any_word(row, [&](std::string_view known, bool negative) {
            if (!matches(known, wanted)) return false;
            match = {&row, negative, known};
            return true;
        });
        if (found) return match;
    }
    return std::nullopt;
}

std::string nearest_option(std::string_view word) {
    NearestWord nearest(folded(word));
    for (const Option& row : option_table()) {
        any_word(row, [&](std::string_view known, bool) {
            nearest.consider(folded(known), known);
            return false;
        });
    }
    return nearest.best();
}

std::string unknown_option(std::string_view word) {
    // As in branches=/a=RW,50G.
    if (!word.empty() && std::isdigit(static_cast<unsigned char>(word.front())) != 0) {
        return "unknown option '" + std::string(word) +
               "'; if it belongs to the value before it, write a backslash before the comma";
    }
    const std::string near = nearest_option(word);
    return "unknown option '" + std::string(word) + "'; " +
           (near.empty() ? std::string("plyfs --help lists those there are") : "did you mean '" + near + "'?");
}

void apply_option(Draft& draft, const Match& match, const std::optional<std::string>& text, Written where) {
    const Option& row = *match.option;
    set_option(draft, match, parse_value(row.kind, row.values, text, draft.base, where), text.value_or(""));
}

namespace {

// Of options that add to what is there, all count; of others the last.
void note_written(Draft& draft, const Match& match, std::string_view written) {
    std::string& noted = draft.config.written[std::string(match.option->name)];
    if (!match.option->name.ends_with('+')) noted.clear();
    noted += std::string(match.word) + "=" + std::string(written) + "\n";
}

// What a file sets has its place noted once it is set; words come after it.
void note_overruled(Draft& draft, const std::string& name) {
    if (draft.places.erase(name) > 0 && !name.ends_with('+')) draft.config.overruled.push_back(name);
}

}  // namespace

void set_option(Draft& draft, const Match& match, Value value, std::string_view written) {
    note_written(draft, match, written);
    if (match.negative) value.on = !value.on;
    value.name = match.word;
    draft.seen.push_back(match.option);
    note_overruled(draft, std::string(match.option->name));
    if (match.option->set) {
        match.option->set(draft, value);
    } else if (draft.config.verbose) {
        draft.notices.push_back("option " + std::string(match.word) +
                                " is for mount(8), which has acted on it; plyfs has nothing to do");
    }
}

}  // namespace plyfs::config

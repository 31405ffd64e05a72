#include "config/key_values.h"

#include <sstream>

#include "config/branch_spec.h"
#include "config/config_file.h"
#include "config/error.h"
#include "config/options.h"

namespace plyfs::config {
namespace {

constexpr int kMostFiles = 5;  // as mergerfs
constexpr std::string_view kBlanks = " \t\r";

std::string trimmed(const std::string& text) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

void read_line(const std::string& line, Draft& draft, int depth) {
    const std::size_t mark = line.find('=');
    const std::string name = trimmed(line.substr(0, mark));
    std::optional<std::string> value;
    if (mark != std::string::npos) value = trimmed(line.substr(mark + 1));
    const auto match = find_option(name);
    if (!match) throw BadValue(unknown_option(name));
    if (match->option->name != "config") return apply_option(draft, *match, value, Written::in_words);
    if (depth + 1 >= kMostFiles) throw BadValue("files name one another; five deep is the most");
    read_config_file(make_absolute(value.value_or(""), draft.base), draft, depth + 1);
}

}  // namespace

bool is_key_values(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        line = trimmed(line);
        if (line.empty() || line.front() == '#') continue;
        const std::size_t mark = line.find('=');
        const std::size_t colon = line.find(':');
        // "name: value" and "- item" are YAML; a list of branches has its colons behind the '='.
        return mark != std::string::npos && (colon == std::string::npos || mark < colon) &&
               find_option(trimmed(line.substr(0, mark))).has_value();
    }
    return false;
}

void read_key_values(const std::string& text, const std::string& name, Draft& draft, int depth) {
    std::istringstream in(text);
    int number = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        line = trimmed(line);
        if (line.empty() || line.front() == '#') continue;
        try {
            read_line(line, draft, depth);
        } catch (const BadValue& e) {
            draft.errors.push_back(name + ":" + std::to_string(number) + ": " +
                                   trimmed(line.substr(0, line.find('='))) + ": " + e.what());
        }
    }
}

}  // namespace plyfs::config

#include "ctl/config_edit.h"

#include <algorithm>
#include <vector>

#include "config/key_values.h"
#include "config/options.h"
#include "ctl/failure.h"

namespace plyfs::ctl {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view unquoted(std::string_view text) {
    const bool quoted = text.size() > 1 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0];
    return quoted ? text.substr(1, text.size() - 2) : text;
}

// A line "key: value  # comment" of the outermost map, or "key=value".
struct Line {
    std::string_view key;
    std::string_view value;
    std::string_view comment;  // with what is before it
};

Line read_line(std::string_view line, char mark) {
    if (line.empty() || line[0] == '#' || line[0] == ' ' || line[0] == '\t' || line[0] == '-') return {};
    const std::size_t at = line.find(mark);
    if (at == std::string_view::npos) return {mark == '=' ? trimmed(line) : std::string_view(), {}, {}};
    Line out{unquoted(trimmed(line.substr(0, at))), {}, {}};
    const std::string_view rest = line.substr(at + 1);
    std::size_t end = rest.size();
    const std::string_view begun = trimmed(rest);
    const bool quoted = begun.starts_with('"') || begun.starts_with('\'');
    const std::size_t closed = quoted ? rest.find(begun[0], rest.find(begun[0]) + 1) : 0;
    if (mark == ':' && closed != std::string_view::npos) end = std::min(rest.find(" #", closed), rest.size());
    out.value = trimmed(rest.substr(0, end));
    if (end < rest.size()) out.comment = rest.substr(rest.substr(0, end).find_last_not_of(kBlanks) + 1);
    return out;
}

bool spans_lines(std::string_view value) {
    if (value.empty() || value[0] == '|' || value[0] == '>') return true;
    return (value[0] == '[' && value.back() != ']') || (value[0] == '{' && value.back() != '}');
}

// YAML reads most texts as they are.
std::string yaml_text(const std::string& value) {
    const bool plain = !value.empty() && value.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_./%+") == std::string::npos;
    if (plain) return value;
    std::string out = "\"";
    for (const char c : value) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return out + "\"";
}

}  // namespace

std::string with_option(const std::string& text, std::string_view option, const std::string& value) {
    const auto wanted = config::find_option(option);
    const bool pairs = config::is_key_values(text);
    const char mark = pairs ? '=' : ':';
    const std::string written = std::string(option) + (pairs ? "=" : ": ") + (pairs ? value : yaml_text(value));
    std::string out;
    bool done = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        at = end + 1;
        const Line read = read_line(line, mark);
        const auto match = read.key.empty() ? std::nullopt : config::find_option(read.key);
        const bool is_it = match && wanted && match->option == wanted->option;
        if (!is_it) {
            out.append(line).append("\n");
            continue;
        }
        if (!pairs && spans_lines(read.value)) {
            throw Failure(std::string(option) + " is written over several lines there; change it by hand");
        }
        // Said twice, the last one counts.
        if (!done) out.append(written).append(read.comment).append("\n");
        done = true;
    }
    if (!done) out += written + "\n";
    return out;
}

}  // namespace plyfs::ctl

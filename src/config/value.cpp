#include "config/value.h"

#include <charconv>
#include <cmath>

#include "config/branch_spec.h"
#include "config/error.h"

namespace plyfs::config {
namespace {

std::string quoted(std::string_view word) {
    return "'" + std::string(word) + "'";
}

int parse_word(std::string_view words, std::string_view text) {
    int place = 0;
    std::string known;
    for (std::size_t i = 0; i <= words.size(); ++place) {
        const std::size_t end = std::min(words.find('|', i), words.size());
        if (words.substr(i, end - i) == text) return place;
        known += (known.empty() ? "" : ", ") + std::string(words.substr(i, end - i));
        i = end + 1;
    }
    throw BadValue("unknown word " + quoted(text) + "; use one of " + known);
}

}  // namespace

bool parse_bool(std::string_view word) {
    for (std::string_view yes : {"on", "true", "yes", "1"}) {
        if (word == yes) return true;
    }
    for (std::string_view no : {"off", "false", "no", "0"}) {
        if (word == no) return false;
    }
    throw BadValue(quoted(word) + " is neither true nor false");
}

double parse_seconds(std::string_view word) {
    constexpr double kLongest = 4294967295.0;  // what the kernel's interface carries
    double seconds = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), seconds);
    if (fault != std::errc() || end != word.data() + word.size() || !(seconds >= 0) || seconds > kLongest) {
        throw BadValue(quoted(word) + " is no number of seconds; use 0 or more, such as 0.5 or 3600");
    }
    return seconds;
}

std::uint64_t parse_size(std::string_view word) {
    std::uint64_t bytes = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), bytes);
    const std::string_view unit = word.substr(static_cast<std::size_t>(end - word.data()));
    constexpr std::string_view kUnits = "BKMGT";
    int shift = 0;
    bool good = fault == std::errc() && unit.size() <= 1;
    if (good && unit.size() == 1) {
        const char upper = unit[0] >= 'a' ? static_cast<char>(unit[0] - 'a' + 'A') : unit[0];
        const std::size_t place = kUnits.find(upper);
        good = place != std::string_view::npos;
        shift = good ? static_cast<int>(place) * 10 : 0;
    }
    if (!good || (bytes << shift) >> shift != bytes) {
        throw BadValue(quoted(word) + " is no size; use bytes or a number with K, M, G or T");
    }
    return bytes << shift;
}

Value parse_value(Kind kind, std::string_view words, const std::optional<std::string>& text, std::string_view base,
                  Written where) {
    Value value;
    if (kind == Kind::ignored) return value;
    if (kind == Kind::flag) {
        value.on = !text || parse_bool(*text);
        return value;
    }
    if (!text || text->empty()) throw BadValue("a value is missing");
    const bool escapes = where == Written::in_words;
    switch (kind) {
        case Kind::text:
            value.text = escapes ? unescape(*text) : *text;
            break;
        case Kind::seconds:
            value.seconds = parse_seconds(*text);
            break;
        case Kind::size:
            value.bytes = parse_size(*text);
            break;
        case Kind::words:
            value.word = parse_word(words, *text);
            break;
        case Kind::path:
            value.text = make_absolute(escapes ? unescape(*text) : *text, base);
            break;
        case Kind::paths:
            value.paths = parse_paths(*text, base);
            break;
        case Kind::branches:
            value.branches = parse_branches(*text, base);
            break;
        case Kind::flag:
        case Kind::ignored:
            break;
    }
    return value;
}

}  // namespace plyfs::config

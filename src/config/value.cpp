#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "config/branch_spec.h"
#include "config/error.h"
#include "config/nearest.h"
#include "config/policy_words.h"

namespace plyfs::config {
namespace {

std::string in_quotes(std::string_view word) {
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
    const std::string near = nearest_word(words, text);
    throw BadValue("unknown word " + in_quotes(text) + "; use one of " + known +
                   (near.empty() ? std::string() : "; did you mean " + in_quotes(near) + "?"));
}

}  // namespace

bool parse_bool(std::string_view word) {
    for (std::string_view yes : {"on", "true", "yes", "1"}) {
        if (word == yes) return true;
    }
    for (std::string_view no : {"off", "false", "no", "0"}) {
        if (word == no) return false;
    }
    throw BadValue(in_quotes(word) + " is neither true nor false");
}

double parse_seconds(std::string_view word) {
    constexpr double kLongest = 4294967295.0;  // what the kernel's interface carries
    double seconds = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), seconds);
    if (fault != std::errc() || end != word.data() + word.size() || !(seconds >= 0) || seconds > kLongest) {
        throw BadValue(in_quotes(word) + " is no number of seconds; use 0 or more, such as 0.5 or 3600");
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
        throw BadValue(in_quotes(word) + " is no size; use bytes or a number with K, M, G or T");
    }
    return bytes << shift;
}

MinFree parse_min_free(std::string_view word) {
    if (!word.ends_with('%')) {
        try {
            return {.bytes = parse_size(word), .share = std::nullopt};
        } catch (const BadValue&) {
            throw BadValue(in_quotes(word) + " is no free space; use bytes, a number with K, M, G or T, or 0% to 100%");
        }
    }
    double percent = 0;
    const std::string_view number = word.substr(0, word.size() - 1);
    const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), percent);
    if (fault != std::errc() || end != number.data() + number.size() || !(percent >= 0) || percent > 100) {
        throw BadValue(in_quotes(word) + " is no share of a branch; use 0% to 100%");
    }
    return {.bytes = std::nullopt, .share = percent / 100};
}

int parse_number(std::string_view word) {
    int number = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool whole = end == word.data() + word.size();
    // What is too much for a number is too much for every option: they say what is not.
    if (whole && fault == std::errc::result_out_of_range) {
        return word.starts_with('-') ? std::numeric_limits<int>::min() : std::numeric_limits<int>::max();
    }
    if (fault != std::errc() || !whole) throw BadValue(in_quotes(word) + " is no whole number");
    return number;
}

std::uint32_t parse_id(std::string_view word) {
    constexpr std::uint32_t kNobody = 0xffffffff;  // "do not change" to chown(2)
    std::uint32_t id = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (fault != std::errc() || end != word.data() + word.size() || id == kNobody) {
        throw BadValue(in_quotes(word) + " is no user or group id; use a number from 0 to 4294967294");
    }
    return id;
}

std::vector<IdRange> parse_id_ranges(std::string_view list) {
    std::string_view rest = list;
    if (rest.starts_with(':')) rest.remove_prefix(1);
    std::vector<std::uint32_t> numbers;
    for (std::size_t i = 0; i <= rest.size();) {
        const std::size_t end = std::min(rest.find(':', i), rest.size());
        const std::string_view word = rest.substr(i, end - i);
        std::uint32_t number = 0;
        const auto [stop, fault] = std::from_chars(word.data(), word.data() + word.size(), number);
        if (fault != std::errc() || stop != word.data() + word.size()) {
            numbers.clear();
            break;
        }
        numbers.push_back(number);
        i = end + 1;
    }
    if (numbers.empty() || numbers.size() % 3 != 0) {
        throw BadValue(in_quotes(list) +
                       " is no list of disk:shown:count; write three numbers for each range of ids, " +
                       "such as 0:100000:65536");
    }
    std::vector<IdRange> ranges;
    for (std::size_t i = 0; i < numbers.size(); i += 3) {
        const IdRange range{numbers[i], numbers[i + 1], numbers[i + 2]};
        constexpr std::uint64_t kIds = 0xffffffff;
        if (range.count == 0 || std::uint64_t{range.disk} + range.count > kIds ||
            std::uint64_t{range.shown} + range.count > kIds) {
            throw BadValue("in " + in_quotes(list) + " a range is empty or goes beyond the last id; its third number " +
                           "is how many ids it has");
        }
        ranges.push_back(range);
    }
    return ranges;
}

Value parse_value(Kind kind, std::string_view words, const std::optional<std::string>& text, std::string_view base,
                  Written where) {
    Value value;
    if (kind == Kind::ignored) return value;
    if (kind == Kind::flag) {
        value.on = !text || parse_bool(*text);
        if (text && where == Written::in_words) value.text = *text;
        return value;
    }
    if (kind == Kind::count) {
        const bool digits = text && !text->empty() && text->find_first_not_of("-0123456789") == std::string::npos;
        value.on = digits ? parse_number(*text) != 0 : !text || parse_bool(*text);
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
        case Kind::number:
            value.number = parse_number(*text);
            break;
        case Kind::words:
            value.word = parse_word(words, *text);
            break;
        case Kind::policy:
            value.policy = parse_policy(*text);
            break;
        case Kind::min_free:
            value.min_free = parse_min_free(*text);
            break;
        case Kind::rules:
            throw BadValue("rules are written as a list in a configuration file, config=FILE");
        case Kind::path:
            value.text = make_absolute(escapes ? unescape(*text) : *text, base);
            break;
        case Kind::layers: {
            LayerPaths layers = parse_layers(*text, base);
            value.paths = std::move(layers.lowers);
            value.data_paths = std::move(layers.data);
            break;
        }
        case Kind::branches:
            value.branches = parse_branches(*text, base);
            break;
        case Kind::id:
            value.id = parse_id(*text);
            break;
        case Kind::id_ranges:
            value.ranges = parse_id_ranges(*text);
            break;
        case Kind::flag:
        case Kind::count:
        case Kind::ignored:
            break;
    }
    return value;
}

}  // namespace plyfs::config

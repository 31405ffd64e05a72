// The value of one option, read according to the option's kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace plyfs::config {

// flag: on or off. words: one of a list. path: a directory or file, made absolute. layers, branches: lists of
// those. rules: written in YAML only. size: bytes, with K, M, G or T. policy: one of them all. min_free: a size or a
// percentage. id: of a user or group. id_ranges: "disk:shown:count" and so on. count: a flag that may also be a number,
// of which 0 is off. number: a whole one. ignored: a value may be there or not, nobody looks at it.
enum class Kind {
    flag,
    count,
    number,
    text,
    seconds,
    size,
    words,
    policy,
    min_free,
    path,
    layers,
    branches,
    rules,
    id,
    id_ranges,
    ignored
};

struct Value {
    std::string_view name;  // the row's word that was written
    bool on = true;
    std::string text;
    double seconds = 0;
    std::uint64_t bytes = 0;
    int number = 0;
    Policy policy = Policy::ff;
    MinFree min_free;
    int word = 0;  // place in the option's list of words
    std::vector<std::string> paths;
    std::vector<std::string> data_paths;
    std::uint32_t id = 0;
    std::vector<IdRange> ranges;
    std::vector<BranchSpec> branches;
    std::vector<PlacementRule> rules;
};

// Where a value was written decides what a backslash means: in -o it escapes, in YAML a scalar stands for
// itself.
enum class Written { in_words, in_yaml };

// words: "a|b|c", for Kind::words. BadValue says what is wrong and what would be right, without naming the
// option.
Value parse_value(Kind kind, std::string_view words, const std::optional<std::string>& text, std::string_view base,
                  Written where);

bool parse_bool(std::string_view word);           // on off true false yes no 1 0
double parse_seconds(std::string_view word);      // 0 and up, fractions allowed
std::uint64_t parse_size(std::string_view word);  // "4096", "128K", "1M"
MinFree parse_min_free(std::string_view word);    // a size, or "5%"
int parse_number(std::string_view word);          // the nearest there is, of one that is out of range
std::uint32_t parse_id(std::string_view word);
// "disk:shown:count:disk:shown:count..."; a colon in front, as some callers write one, is passed over.
std::vector<IdRange> parse_id_ranges(std::string_view list);

}  // namespace plyfs::config

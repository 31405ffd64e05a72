#include "control/option_values.h"

#include <doctest/doctest.h>

#include <set>
#include <sstream>

#include "config/option_words.h"
#include "config/options.h"
#include "control/live_options.h"

using namespace plyfs;
using config::Kind;
using config::Option;
using config::Use;

namespace {

// Told by others, or nothing by itself.
const std::set<std::string_view> kUntold = {"timeout", "rules",  "lowerdir+",     "datadir+",
                                            "config",  "silent", "override_creds"};
// Whatever is given, one thing holds, as a notice says.
const std::set<std::string_view> kOneValue = {
    "relatime",     "strictatime",     "lazytime",    "dirsync", "allow-idmap", "cache.writeback", "dropcacheonclose",
    "func.readdir", "follow-symlinks", "nfsopenhack", "xino",    "uuid",        "verity"};

bool is_told(const Option& option) {
    return option.kind != Kind::ignored && option.group != config::Group::fstab && !kUntold.contains(option.name);
}

config::Config with(const Option& option, const std::string& value) {
    config::Draft draft;
    draft.base = "/";
    draft.config.mountpoint = "/m";
    if (option.use == Use::layers) {
        draft.lowerdirs = {"/lower"};
        draft.upperdir = "/upper";
        draft.config.workdir = "/work";
    } else {
        draft.branches = {{"/a", config::BranchMode::rw, "/a"}};
    }
    if (option.name == "branches-missing") draft.config.pool.mount_timeout = 1;  // `wait` wants to know how long
    config::apply_option(draft, *config::find_option(option.name), value, config::Written::in_words);
    return config::settle(draft, true);
}

std::vector<std::string> values_of(const Option& option) {
    switch (option.kind) {
        case Kind::flag:
        case Kind::count:
            return {"true", "false"};
        case Kind::number:
            return {"7"};
        case Kind::seconds:
            return {"2.5"};
        case Kind::size:
            return {"65536"};
        case Kind::policy:
            return {"ff", "mfs"};
        case Kind::min_free:
            return {"4096", "7%"};
        case Kind::path:
            return {"/p"};
        case Kind::layers:
            return {"/l:/k\\:k"};
        case Kind::branches:
            return {"/b=RO:/c\\:c=RW,4096"};
        case Kind::id:
            return {"12"};
        case Kind::id_ranges:
            return {"0:1000:1:1:2000:500"};
        case Kind::text:
            if (option.name == "moveonenospc") return {"false", "mfs"};
            return {option.name == "fuse-msg-size" ? "32" : "some"};
        case Kind::words:
            break;
        case Kind::rules:
        case Kind::ignored:
            return {};
    }
    std::vector<std::string> words;
    std::istringstream in{std::string(option.values)};
    for (std::string word; std::getline(in, word, '|');) words.push_back(word);
    return words;
}

// Two words for one thing, of which one is told.
std::string told_as(const Option& option, const std::string& given) {
    if (option.name == "passthrough" && given == "on") return "auto";
    if (option.name == "passthrough.io" && given != "off") return "rw";
    return given;
}

}  // namespace

TEST_CASE("every option of a mount can be asked for, and is told as it was given") {
    for (const Option& option : config::option_table()) {
        if (!is_told(option) || kOneValue.contains(option.name)) continue;
        CAPTURE(option.name);
        for (const std::string& given : values_of(option)) {
            CAPTURE(given);
            const auto told = control::option_value(with(option, given), option.name);
            REQUIRE(told);
            CHECK(*told == told_as(option, given));
        }
    }
}

TEST_CASE("options of which only one value has an effect tell that") {
    for (const std::string_view name : kOneValue) {
        CAPTURE(name);
        const Option& option = *config::find_option(name)->option;
        const auto told = control::option_value(config::Config(), name);
        REQUIRE(told);
        CHECK(control::option_value(with(option, *told), name) == told);
    }
}

TEST_CASE("what can change while mounted is told") {
    for (const Option& option : config::option_table()) {
        CAPTURE(option.name);
        if (control::has_effect(option) && is_told(option)) CHECK(control::option_value(config::Config(), option.name));
    }
}

// The command line of plyctl: one table of commands and one of flags, from which it is read and --help is shown.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plyfs::ctl {

struct Words {
    bool json = false;
    bool create = false;
    bool directory = false;
    bool content = false;
    bool fix = false;
    bool save = false;
    bool first = false;
    bool force = false;
    std::string keep;          // fsck's rule; empty: none
    double interval = 1;       // seconds
    std::optional<int> count;  // unset: until interrupted
    double within = 2;         // per cent
    std::optional<int> copies;
    // Empty: not given.
    std::string tar;
    std::string fstab;
    std::string storage;
    std::string listen;
    std::optional<int> pid;  // of a daemon
    std::vector<std::string> arguments;
};

struct Flag {
    std::string_view name;   // without its dashes
    std::string_view value;  // what the value is called; empty: none
    std::string_view help;
    void (*set)(Words&, const std::string& value);
};
std::span<const Flag> flag_table();

struct Command {
    std::string_view name;   // one word, or two: "config check"
    std::string_view words;  // of the synopsis
    std::size_t least;       // arguments
    std::size_t most;
    std::string_view flags;  // those it knows besides json, with spaces between
    std::string_view help;
    int (*run)(const Words&);
};
std::span<const Command> command_table();

struct Parsed {
    const Command* command = nullptr;  // null: help or version is asked for
    Words words;
    bool version = false;
};
// argv without the program's name. Throws Failure (ExitCode::usage).
Parsed parse(const std::vector<std::string>& argv);

std::string help_text();

}  // namespace plyfs::ctl

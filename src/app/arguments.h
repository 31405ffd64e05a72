// The flags of the command line, one table for plyfs and the other names it is called by: read, and shown by --help.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plyfs::app {

struct Arguments {
    bool help = false;
    bool version = false;
    bool foreground = false;
    bool debug = false;
    bool fake = false;
    bool sloppy = false;
    bool verbose = false;
    std::optional<bool> read_only;
    std::string mount_namespace;
    std::vector<std::string> option_strings;  // every -o
    std::vector<std::string> words;           // what is no flag
    std::vector<std::string> ignored;         // unknown ones, where those are passed over
};

// Whose command line it is: a person's, mount(8)'s as to one of its helpers, or one written for fuse-overlayfs.
enum class Manner { person, helper, drop_in };

// Where a flag is known: -f is "foreground" to plyfs and "fake" to a mount helper.
enum class Caller { any, person, helper };

struct Flag {
    char letter;
    std::string_view long_name;  // empty: none
    std::string_view value;      // what the value is called; empty: the flag takes none
    Caller caller;
    std::string_view help;
    void (*set)(Arguments&, const std::string& value);
};
std::span<const Flag> flag_table();

// argv with the program's name first. "-ofoo", "-o foo", "-fd", and words after "--" are understood; faults
// are added to errors and reading goes on. An unknown flag is a fault, but where fuse-overlayfs is meant.
Arguments read_arguments(const std::vector<std::string>& argv, Manner manner, std::vector<std::string>& errors);

}  // namespace plyfs::app

// What --help and --version print. Both are made of tables and facts handed in, so that they can be tested.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::app {

// The forms of the command, its flags, and every option with its default. program: by what name it was called.
std::string help_text(std::string_view program = "plyfs");

// Two lines for a wrong command line: how to write it, and where to read on.
std::string usage_text();

struct VersionFacts {
    std::string libfuse;             // "3.18.3"
    std::string transport;           // "io_uring" or "devfuse"
    std::string transport_reason;    // why that one
    bool passthrough = false;        // the kernel offers it to us
    std::string passthrough_reason;  // why not, or empty
    std::string stack_depth;         // "auto", "0" or "1", with a word on what that means here
};
// One fact a line; the first line is "plyfs VERSION", as fuse-overlayfs "fuse-overlayfs: plyfs VERSION".
std::string version_text(const VersionFacts& facts, std::string_view program = "plyfs");

}  // namespace plyfs::app

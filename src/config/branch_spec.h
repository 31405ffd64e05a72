// How directories and lists of them are written: "path[=MODE[,MINFREE]]", colons between, a backslash before a colon,
// comma, equals sign, backslash or a pattern's character that belongs to a name. Lexical only: nothing here looks at
// the disk.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace plyfs::config {

// Split at the colons that have no backslash before them; the backslashes stay.
std::vector<std::string> split_list(std::string_view list);

// A backslash takes the meaning from the character after it, and goes.
std::string unescape(std::string_view text);

// Relative paths are taken from base (a directory's absolute path), doubled and trailing slashes and "." go;
// ".." stays, for only the file system knows where it leads. BadValue for an empty path.
std::string make_absolute(std::string_view path, std::string_view base);

// "rw", "ro" or "nc" in either case; BadValue otherwise.
BranchMode parse_mode(std::string_view word);
std::string_view mode_name(BranchMode mode);

// What comes after the mark of a branch, "MODE[,MINFREE]".
void parse_branch_mode(std::string_view text, BranchSpec& spec);
// The path of a branch as written, which may be a pattern: then a backslash stays before each of its characters that
// has no meaning there. escapes: a backslash before another character goes.
void set_branch_path(BranchSpec& spec, std::string_view written, std::string_view base, bool escapes);
// "path[=MODE[,MINFREE]]", rw without a mode.
BranchSpec parse_branch(std::string_view written, std::string_view base);
// The path of a branch so that it is read as that, and nothing in it as a sign.
std::string escape_branch_path(std::string_view path);
// "path[=MODE[,MINFREE]]:..."
std::vector<BranchSpec> parse_branches(std::string_view list, std::string_view base);

struct LayerPaths {
    std::vector<std::string> lowers;
    std::vector<std::string> data;  // below those, and only their files' content is wanted
};
// "path:path...", the leftmost on top, as overlayfs' lowerdir; each path after a "::" is a data-only layer.
LayerPaths parse_layers(std::string_view list, std::string_view base);

}  // namespace plyfs::config

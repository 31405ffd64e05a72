// Branches in a scratch directory, without probing, mounting or a daemon; and the few file calls that tests
// need.
#pragma once

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "../sys/scratch.h"
#include "branch/branch_set.h"
#include "overlay/resolver.h"
#include "sys/open.h"

namespace plyfs::test {

inline void write_file(const std::string& path, std::string_view text) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    INFO(path);
    REQUIRE(out);
}

inline std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return "(no such file)";
    return {std::istreambuf_iterator<char>(in), {}};
}

inline bool exists(const std::string& path) {
    struct stat st;
    return ::lstat(path.c_str(), &st) == 0;
}

inline void make_dir(const std::string& path) {
    INFO(path);
    REQUIRE(::mkdir(path.c_str(), 0755) == 0);
}

inline void make_whiteout(const std::string& path) {
    INFO(path);
    REQUIRE(::mknod(path.c_str(), S_IFCHR, makedev(0, 0)) == 0);
}

inline bool is_whiteout(const std::string& path) {
    struct stat st;
    return ::lstat(path.c_str(), &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

inline void make_opaque(const std::string& path) {
    INFO(path);
    REQUIRE(::setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
}

inline bool is_opaque(const std::string& path) {
    char value[4];
    return ::getxattr(path.c_str(), "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

// The names in a directory, sorted.
inline std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

inline Name name_of(const char* text) {
    auto name = Name::parse(text);
    REQUIRE(name);
    return *name;
}

inline UniqueFd open_dir(const std::string& path) {
    return open_or_fail(path, O_PATH | O_DIRECTORY);
}

inline std::unique_ptr<Branch> make_branch(int index, const std::string& path, config::BranchMode mode) {
    Branch::Parts parts;
    parts.index = index;
    parts.mode = mode;
    parts.path = path;
    parts.root = open_dir(path);
    auto st = sys::stat_fd(parts.root);
    REQUIRE(st);
    parts.device = sys::device_of(*st);
    parts.root_key = sys::key_of(*st);
    return std::make_unique<Branch>(std::move(parts));
}

// "wr": one letter a branch, w or r. The branches are directories "0", "1" and so on of `scratch`, made if
// missing.
inline std::shared_ptr<BranchSet> make_branches(const std::string& scratch, std::string_view modes) {
    std::vector<std::unique_ptr<Branch>> branches;
    for (std::size_t i = 0; i < modes.size(); ++i) {
        const std::string path = scratch + "/" + std::to_string(i);
        std::filesystem::create_directory(path);
        branches.push_back(
            make_branch(static_cast<int>(i), path, modes[i] == 'w' ? config::BranchMode::rw : config::BranchMode::ro));
    }
    return std::make_shared<BranchSet>(std::move(branches));
}

// A directory on those branches that have it; "" is the root.
inline Layers layers_at(const BranchSet& set, const std::string& path) {
    Layers out;
    for (const auto& branch : set.all()) {
        const std::string full = branch->path() + "/" + path;
        if (!exists(full)) continue;
        out.push_back({static_cast<BranchIndex>(branch->index()), std::make_shared<const LayerDir>(open_dir(full))});
    }
    return out;
}

}  // namespace plyfs::test

// In a test: goes no further without root.
#define PLYFS_NEEDS_ROOT()              \
    if (!::plyfs::test::is_root()) {    \
        MESSAGE("skipped: needs root"); \
        return;                         \
    }

#include <algorithm>
#include <optional>
#include <vector>

#include "config/branch_spec.h"
#include "control/value_rows.h"

namespace plyfs::control {
namespace {

using C = const config::Config&;

constexpr auto flag = value_of_flag;
constexpr auto word = value_of_word;

bool has_upper(C c) {
    return !c.branches.empty() && c.branches[0].mode == config::BranchMode::rw;
}

// Layers that hold nothing but content have two colons before each.
std::string lower_dirs(C c) {
    std::string out;
    const std::size_t content = c.branches.size() - static_cast<std::size_t>(c.data_layers);
    for (std::size_t i = has_upper(c) ? 1 : 0; i < c.branches.size(); ++i) {
        if (!out.empty()) out += i < content ? ":" : "::";
        out += config::escape_branch_path(c.branches[i].path);
    }
    return out;
}

std::string ranges(const std::vector<config::IdRange>& list) {
    std::string out;
    for (const auto& one : list) {
        if (!out.empty()) out += ':';
        out += std::to_string(one.disk) + ":" + std::to_string(one.shown) + ":" + std::to_string(one.count);
    }
    return out.empty() ? "none" : out;
}

std::string id(const std::optional<std::uint32_t>& wanted) {
    return wanted ? std::to_string(*wanted) : "none";
}

// clang-format off
constexpr ValueRow kRows[] = {
    {"lowerdir", lower_dirs},
    {"upperdir", [](C c) { return has_upper(c) ? c.branches[0].path : "none"; }},
    {"redirect_dir", [](C c) { return word("redirect_dir", static_cast<int>(c.layers.redirect_dir)); }},
    {"metacopy", [](C c) { return flag(c.layers.metacopy); }},
    {"index", [](C c) { return word("index", static_cast<int>(c.layers.index)); }},
    {"userxattr", [](C c) { return flag(c.layers.userxattr); }},
    {"upper-format", [](C c) { return word("upper-format", static_cast<int>(c.layers.upper_format)); }},
    {"copyup-readers", [](C c) { return word("copyup-readers", static_cast<int>(c.layers.readers)); }},
    {"volatile", [](C c) { return flag(!c.layers.sync); }},
    {"fsync", [](C c) { return flag(c.layers.sync); }},
    {"uidmapping", [](C c) { return ranges(c.layers.uids); }},
    {"gidmapping", [](C c) { return ranges(c.layers.gids); }},
    {"squash_to_root", [](C c) { return flag(c.layers.squash_uid == 0 && c.layers.squash_gid == 0); }},
    {"squash_to_uid", [](C c) { return id(c.layers.squash_uid); }},
    {"squash_to_gid", [](C c) { return id(c.layers.squash_gid); }},
    {"xattr_permissions", [](C c) { return word("xattr_permissions", static_cast<int>(c.layers.stat_override)); }},
    {"static_nlink", [](C c) { return flag(c.layers.static_nlink); }},
    {"noxattrs", [](C c) { return flag(!c.layers.xattrs); }},
    {"noacl", [](C c) { return flag(!c.layers.acls); }},
    {"xino", [](C) { return word("xino", 2); }},
    {"nfs_export", [](C c) { return flag(c.layers.handles); }},
    {"uuid", [](C) { return word("uuid", 0); }},
    {"verity", [](C) { return word("verity", 0); }},
};
// clang-format on

}  // namespace

std::span<const ValueRow> layer_values() {
    return kRows;
}

}  // namespace plyfs::control

#include <fmt/format.h>

#include <algorithm>

#include "config/branch_spec.h"
#include "config/policy_words.h"
#include "control/value_rows.h"

namespace plyfs::control {
namespace {

using C = const config::Config&;
using config::Category;
using config::Function;

constexpr auto flag = value_of_flag;
constexpr auto seconds = value_of_seconds;
constexpr auto word = value_of_word;

// One policy, or several where functions of the category have their own.
std::string category(C c, Category wanted) {
    std::vector<std::string_view> names;
    for (int i = 0; i < static_cast<int>(Function::count_); ++i) {
        const auto function = static_cast<Function>(i);
        if (config::category_of(function) != wanted) continue;
        const auto name = config::policy_name(c.pool.policies.of(function));
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return fmt::format("{}", fmt::join(names, ","));
}

template <Function kFunction>
std::string policy(C c) {
    return std::string(config::policy_name(c.pool.policies.of(kFunction)));
}

std::string min_free(const config::MinFree& kept) {
    if (kept.bytes) return std::to_string(*kept.bytes);
    return kept.share ? fmt::format("{:g}%", *kept.share * 100) : "0";
}

std::string branches(C c) {
    constexpr std::string_view kModes[] = {"RW", "RO", "NC"};
    std::string out;
    for (const auto& branch : c.branches) {
        if (!out.empty()) out += ':';
        const auto mode = branch.mode == config::BranchMode::rw ? 0 : branch.mode == config::BranchMode::ro ? 1 : 2;
        out += config::escape_branch_path(branch.path) + "=" + std::string(kModes[mode]);
        if (branch.min_free) out += "," + min_free(*branch.min_free);
    }
    return out;
}

// clang-format off
constexpr ValueRow kRows[] = {
    {"branch-lost", [](C c) { return word("branch-lost", c.pool.lost_is_error ? 1 : 0); }},
    {"branches", branches},
    {"branches-missing", [](C c) { return word("branches-missing", static_cast<int>(c.pool.missing)); }},
    {"branches-mount-timeout", [](C c) { return seconds(c.pool.mount_timeout); }},
    {"branches-mount-timeout-fail", [](C c) { return flag(c.pool.mount_timeout_fail); }},
    {"cache.files", [](C c) { return word("cache.files", static_cast<int>(c.pool.files.cache)); }},
    {"cache.readdir", [](C c) { return flag(c.pool.files.keep_listings); }},
    {"cache.statfs", [](C c) { return seconds(c.pool.space_age); }},
    {"cache.symlinks", [](C c) { return flag(c.pool.files.keep_targets); }},
    {"cache.writeback", [](C) { return flag(false); }},
    {"category.action", [](C c) { return category(c, Category::action); }},
    {"category.create", [](C c) { return category(c, Category::create); }},
    {"category.search", [](C c) { return category(c, Category::search); }},
    {"coherence", [](C c) { return word("coherence", static_cast<int>(c.coherence)); }},
    {"copyup", [](C c) { return flag(c.pool.copy_up); }},
    {"dropcacheonclose", [](C) { return flag(false); }},
    {"export-support", [](C c) { return flag(c.pool.files.handles); }},
    {"flush-on-close", [](C c) { return word("flush-on-close", static_cast<int>(c.pool.files.flush)); }},
    {"follow-symlinks", [](C) { return std::string("never"); }},
    {"func.access", policy<Function::access>},
    {"func.chmod", policy<Function::chmod>},
    {"func.chown", policy<Function::chown>},
    {"func.create", policy<Function::create>},
    {"func.getattr", policy<Function::getattr>},
    {"func.getxattr", policy<Function::getxattr>},
    {"func.link", policy<Function::link>},
    {"func.listxattr", policy<Function::listxattr>},
    {"func.mkdir", policy<Function::mkdir>},
    {"func.mknod", policy<Function::mknod>},
    {"func.open", policy<Function::open>},
    {"func.readdir", [](C) { return std::string("seq"); }},
    {"func.readlink", policy<Function::readlink>},
    {"func.removexattr", policy<Function::removexattr>},
    {"func.rename", policy<Function::rename>},
    {"func.rmdir", policy<Function::rmdir>},
    {"func.setxattr", policy<Function::setxattr>},
    {"func.symlink", policy<Function::symlink>},
    {"func.truncate", policy<Function::truncate>},
    {"func.unlink", policy<Function::unlink>},
    {"func.utimens", policy<Function::utimens>},
    {"ignorepponrename", [](C c) { return flag(c.pool.ignore_paths); }},
    {"inodecalc", [](C c) { return word("inodecalc", static_cast<int>(c.pool.files.inodes)); }},
    {"link-cow", [](C c) { return flag(c.pool.files.link_cow); }},
    {"link-exdev", [](C c) {
         constexpr int kWords[] = {0, 1, 3, 2};  // of none, relative, through_mount, on_branch
         return word("link-exdev", kWords[static_cast<int>(c.pool.link_instead)]);
     }},
    {"minfreespace", [](C c) { return min_free(c.pool.min_free); }},
    {"moveonenospc", [](C c) {
         return c.pool.move_policy ? std::string(config::policy_name(*c.pool.move_policy)) : flag(false);
     }},
    {"moveonenospc-reserve", [](C c) { return min_free(c.pool.move_reserve); }},
    {"never-forget-nodes", [](C c) { return flag(c.pool.files.keep_nodes); }},
    {"nfsopenhack", [](C) { return std::string("off"); }},
    {"nullrw", [](C c) { return flag(c.pool.files.null_io); }},
    {"posix-acl", [](C c) { return flag(c.pool.files.acls); }},
    {"proxy-ioprio", [](C c) { return flag(c.pool.files.proxy_ioprio); }},
    {"read-failover", [](C c) { return word("read-failover", static_cast<int>(c.pool.failover)); }},
    {"rename-exdev", [](C c) { return word("rename-exdev", static_cast<int>(c.pool.rename_instead)); }},
    {"security-capability", [](C c) { return flag(c.pool.files.capabilities); }},
    {"selection", policy<Function::getattr>},
    {"statfs", [](C c) { return word("statfs", static_cast<int>(c.pool.files.statfs)); }},
    {"statfs-ignore", [](C c) { return word("statfs-ignore", static_cast<int>(c.pool.files.statfs_ignore)); }},
    {"symlinkify", [](C c) { return flag(c.pool.files.symlinkify); }},
    {"symlinkify-timeout", [](C c) { return seconds(c.pool.files.symlinkify_age); }},
    {"unlink", [](C c) { return word("unlink", c.pool.unlink_winner ? 1 : 0); }},
    {"whiteouts", [](C c) { return flag(c.pool.whiteouts); }},
    {"xattr", [](C c) { return word("xattr", static_cast<int>(c.pool.files.xattrs)); }},
};
// clang-format on

}  // namespace

std::span<const ValueRow> pool_values() {
    return kRows;
}

}  // namespace plyfs::control

#include "control/option_values.h"

#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "config/branch_spec.h"
#include "config/options.h"
#include "config/policy_words.h"
#include "ops/timeouts.h"

namespace plyfs::control {
namespace {

using C = const config::Config&;
using config::Category;
using config::Function;

std::string flag(bool on) {
    return on ? "true" : "false";
}

std::string seconds(double value) {
    return fmt::format("{:g}", value);
}

// What holds where none is given.
std::string timeout(C c, std::atomic<double> ops::Timeouts::*which) {
    ops::Timeouts timeouts;
    timeouts.set(c);
    return seconds(timeouts.*which);
}

// The n-th word that the option takes.
std::string word(std::string_view option, int place) {
    std::string_view words = config::find_option(option)->option->values;
    for (; place > 0; --place) words.remove_prefix(words.find('|') + 1);
    return std::string(words.substr(0, words.find('|')));
}

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

struct Row {
    std::string_view name;
    std::string (*value)(C);
};

// clang-format off
constexpr Row kRows[] = {
    {"branch-lost", [](C c) { return word("branch-lost", c.pool.lost_is_error ? 1 : 0); }},
    {"branch-timeout", [](C c) { return seconds(c.branch_timeout); }},
    {"branches", branches},
    {"branches-mount-timeout", [](C c) { return seconds(c.pool.mount_timeout); }},
    {"branches-mount-timeout-fail", [](C c) { return flag(c.pool.mount_timeout_fail); }},
    {"busy-poll", [](C c) { return std::to_string(c.busy_poll.count()); }},
    {"cache.attr", [](C c) { return timeout(c, &ops::Timeouts::attr); }},
    {"cache.entry", [](C c) { return timeout(c, &ops::Timeouts::entry); }},
    {"cache.files", [](C c) { return word("cache.files", static_cast<int>(c.pool.files.cache)); }},
    {"cache.negative-entry", [](C c) { return timeout(c, &ops::Timeouts::negative); }},
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
    {"fsname", [](C c) { return c.fsname; }},
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
    {"kernel-permissions-check", [](C c) { return flag(c.default_permissions); }},
    {"lazy-umount-mountpoint", [](C c) { return flag(c.lazy_umount); }},
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
    {"mountpoint", [](C c) { return c.mountpoint; }},
    {"never-forget-nodes", [](C c) { return flag(c.pool.files.keep_nodes); }},
    {"nfsopenhack", [](C) { return std::string("off"); }},
    {"nullrw", [](C c) { return flag(c.pool.files.null_io); }},
    {"passthrough.io", [](C c) { return std::string(c.passthrough == config::Passthrough::off ? "off" : "rw"); }},
    {"pid", [](C) { return std::to_string(::getpid()); }},
    {"posix-acl", [](C c) { return flag(c.pool.files.acls); }},
    {"proxy-ioprio", [](C c) { return flag(c.pool.files.proxy_ioprio); }},
    {"read-thread-count", [](C c) { return std::to_string(c.reader_threads); }},
    {"read-failover", [](C c) { return word("read-failover", static_cast<int>(c.pool.failover)); }},
    {"readahead", [](C c) { return std::to_string(c.read_ahead_kib.value_or(0)); }},
    {"rename-exdev", [](C c) { return word("rename-exdev", static_cast<int>(c.pool.rename_instead)); }},
    {"scheduling-priority", [](C c) { return std::to_string(c.niceness); }},
    {"security-capability", [](C c) { return flag(c.pool.files.capabilities); }},
    {"seccomp", [](C c) { return flag(c.seccomp); }},
    {"statfs", [](C c) { return word("statfs", static_cast<int>(c.pool.files.statfs)); }},
    {"statfs-ignore", [](C c) { return word("statfs-ignore", static_cast<int>(c.pool.files.statfs_ignore)); }},
    {"supervise", [](C c) { return flag(c.supervise); }},
    {"symlinkify", [](C c) { return flag(c.pool.files.symlinkify); }},
    {"symlinkify-timeout", [](C c) { return seconds(c.pool.files.symlinkify_age); }},
    {"unlink", [](C c) { return word("unlink", c.pool.unlink_winner ? 1 : 0); }},
    {"version", [](C) { return std::string(PLYFS_VERSION); }},
    {"whiteouts", [](C c) { return flag(c.pool.whiteouts); }},
    {"xattr", [](C c) { return word("xattr", static_cast<int>(c.pool.files.xattrs)); }},
};
// clang-format on

const Row* find_row(std::string_view name) {
    const auto fold = [](char c) { return c == '_' ? '-' : c; };
    const auto* found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) {
        return std::equal(row.name.begin(), row.name.end(), name.begin(), name.end(),
                          [&](char a, char b) { return fold(a) == fold(b); });
    });
    return found == std::end(kRows) ? nullptr : found;
}

}  // namespace

std::optional<std::string> option_value(const config::Config& config, std::string_view name) {
    if (const Row* row = find_row(name)) return row->value(config);
    const auto match = config::find_option(name);
    if (!match || match->negative) return std::nullopt;
    if (const Row* row = find_row(match->option->name)) return row->value(config);
    for (std::string_view rest = match->option->aliases; !rest.empty();) {
        const auto end = std::min(rest.find(' '), rest.size());
        if (const Row* row = find_row(rest.substr(0, end))) return row->value(config);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return std::nullopt;
}

std::vector<std::string_view> told_options() {
    std::vector<std::string_view> names;
    for (const Row& row : kRows) names.push_back(row.name);
    return names;
}

}  // namespace plyfs::control

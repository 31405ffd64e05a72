#include "config/missing.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "sys/mount_marker.h"
#include "sys/open.h"
#include "sys/process.h"
#include "sys/stat.h"

namespace plyfs::config {
namespace {

using sys::MountMarker;

// As often as mergerfs.
constexpr std::chrono::milliseconds kPause{333};

// What is no directory, or not to be reached by us, does not become one by waiting.
bool may_come(Errno e) {
    return e != ENOTDIR && e != ELOOP && e != EACCES;
}

struct Look {
    enum class Found { there, unmarked, missing };
    Found found = Found::missing;
    bool marked = false;  // that it is missing is said by a marker
};

// unmarked: a directory of which nobody says whether it is the branch or the place for it.
Look look_at(const std::string& path) {
    const auto root = sys::open_root(path.c_str());
    if (!root) return {may_come(root.error()) ? Look::Found::missing : Look::Found::there, false};
    switch (sys::find_mount_marker(*root)) {
        case MountMarker::branch:
            return {Look::Found::there, false};
        case MountMarker::awaits_branch:
            return {Look::Found::missing, true};
        case MountMarker::none:
            break;
    }
    return {Look::Found::unmarked, false};
}

bool looks_mounted(const std::string& path, std::uint64_t mountpoint_device) {
    const Look look = look_at(path);
    if (look.found != Look::Found::unmarked) return look.found == Look::Found::there;
    const auto st = sys::stat_path(path.c_str());
    return st && sys::device_of(*st) != mountpoint_device;
}

void wait_until_mounted(const Config& config) {
    const auto at = sys::stat_path(config.mountpoint.c_str());
    const std::uint64_t device = at ? sys::device_of(*at) : 0;
    const auto waiting = [&](const BranchSpec& branch) { return !looks_mounted(branch.path, device); };
    for (const BranchSpec& branch : config.branches) {
        if (waiting(branch)) sys::ask_to_mount(branch.path.c_str());
    }
    const auto latest = std::chrono::steady_clock::now() + std::chrono::duration<double>(config.pool.mount_timeout);
    while (std::any_of(config.branches.begin(), config.branches.end(), waiting) &&
           std::chrono::steady_clock::now() < latest) {
        std::this_thread::sleep_for(kPause);
    }
}

std::string missing_line(const BranchSpec& branch, const Look& look) {
    return "branch " + branch.path + ": " +
           (look.marked ? "a disk is to be mounted there, says its marker branch_mounts_here, and is not"
                        : "no such directory");
}

}  // namespace

std::vector<std::string> settle_missing_branches(Config& config, std::vector<std::string>& notices) {
    std::vector<std::string> faults;
    const PoolOptions& pool = config.pool;
    if (pool.missing == BranchesMissing::wait) wait_until_mounted(config);
    const bool allowed = pool.missing == BranchesMissing::degraded ||
                         (pool.missing == BranchesMissing::wait && !pool.mount_timeout_fail);
    for (BranchSpec& branch : config.branches) {
        const Look look = look_at(branch.path);
        if (look.found != Look::Found::missing) continue;
        if (allowed) {
            branch.missing = true;
            notices.push_back(missing_line(branch, look) + "; mounted without it, it is taken in when it comes");
        } else if (look.marked) {
            faults.push_back(missing_line(branch, look) + "; mount it, or use branches-missing=degraded");
        }
    }
    const bool all = !config.branches.empty() && std::all_of(config.branches.begin(), config.branches.end(),
                                                             [](const auto& b) { return b.missing; });
    if (all) faults.push_back("branches: none of them is there; mount at least one");
    return faults;
}

}  // namespace plyfs::config

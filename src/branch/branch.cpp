#include "branch/branch.h"

#include <time.h>

#include <algorithm>

#include "base/insist.h"
#include "base/log.h"
#include "sys/mount.h"
#include "sys/open.h"
#include "sys/stat.h"
#include "sys/waiting.h"

namespace plyfs {
namespace {

std::int64_t monotonic_milliseconds() {
    struct timespec now;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// A refresher that is late by more than this is not waited for.
constexpr std::int64_t kLate = 2000;

}  // namespace

std::uint64_t reserve_of(const config::MinFree& min_free, std::uint64_t total) {
    std::uint64_t reserve = min_free.bytes.value_or(~std::uint64_t{0});
    if (!min_free.share) return reserve;
    return std::min(reserve, static_cast<std::uint64_t>(*min_free.share * static_cast<double>(total)));
}

Space Branch::read_space() const {
    Space fresh;
    // Zeros are a branch that takes nothing.
    const auto st = insist([&] { return sys::stat_fs(p_.root); });
    if (!st) return fresh;
    fresh.available = static_cast<std::uint64_t>(st->f_bavail) * st->f_frsize;
    fresh.total = static_cast<std::uint64_t>(st->f_blocks) * st->f_frsize;
    fresh.read_only = (st->f_flag & ST_RDONLY) != 0;
    fresh.no_inodes = st->f_files != 0 && st->f_favail == 0;  // f_files is 0 where inodes are made on demand
    config::MinFree kept;
    {
        MutexLock lock(mutex_);
        kept = min_free_;
    }
    if (kept.bytes || kept.share) fresh.reserve = reserve_of(kept, fresh.total);
    return fresh;
}

void Branch::symlinkify(sys::Stat& st) const {
    if ((st.stx_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) != 0) return;
    struct timespec now;
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    const std::int64_t changed = std::max(st.stx_mtime.tv_sec, st.stx_ctime.tv_sec);
    if (static_cast<double>(now.tv_sec - changed) <= *p_.symlinkify_age) return;
    st.stx_mode = S_IFLNK | 0777;
}

bool Branch::keeps_free() const {
    MutexLock lock(mutex_);
    return min_free_.bytes || min_free_.share;
}

void Branch::set_pool_min_free(const config::MinFree& min_free) {
    if (p_.own_min_free) return;
    MutexLock lock(mutex_);
    min_free_ = min_free;
    space_taken_ = -1;
}

Space Branch::space() const {
    const std::int64_t now = monotonic_milliseconds();
    const auto age = static_cast<std::int64_t>(p_.space_age * 1000);
    {
        MutexLock lock(mutex_);
        const std::int64_t believed = refreshed_ ? age + kLate : age;
        const bool fresh_enough = age > 0 && now - space_taken_ < believed;
        if (space_taken_ >= 0 && (fresh_enough || is_late())) return space_;
    }
    const Space fresh = read_space();
    MutexLock lock(mutex_);
    space_ = fresh;
    space_taken_ = now;
    return fresh;
}

void Branch::refresh_space() const {
    const std::int64_t now = monotonic_milliseconds();
    const Space fresh = read_space();
    MutexLock lock(mutex_);
    space_ = fresh;
    space_taken_ = now;
    refreshed_ = true;
}

void Branch::take_away() {
    present_.store(false, std::memory_order_release);
    // What the number leads to is replaced, so that whoever borrowed it has a descriptor in any case.
    if (auto nowhere = sys::open_nowhere()) {
        if (auto done = sys::replace(p_.root, *nowhere); !done) log::debug("{}: the root stays open", p_.path);
    }
}

Status Branch::bring_back(UniqueFd root, bool network) {
    const auto st = TRY(sys::stat_fd(root));
    if (mode() == config::BranchMode::ro) {
        if (auto clone = sys::clone_read_only(root, sys::Submounts::with)) root = std::move(*clone);
    }
    const auto mount = sys::mount_of(root);
    TRY(sys::replace(p_.root, root));
    device_.store(sys::device_of(st), std::memory_order_relaxed);
    network_.store(network, std::memory_order_relaxed);
    mount_.store(mount ? *mount : 0, std::memory_order_relaxed);
    read_failed_.store(false, std::memory_order_relaxed);
    {
        MutexLock lock(mutex_);
        root_key_ = sys::key_of(st);
    }
    refresh_space();
    return {};
}

void Branch::set_answers(Answers answers) {
    if (answers == Answers::not_at_all) hangs_since_.store(monotonic_milliseconds(), std::memory_order_relaxed);
    answers_.store(answers, std::memory_order_release);
}

double Branch::hangs_for() const {
    if (!hangs()) return 0;
    return static_cast<double>(monotonic_milliseconds() - hangs_since_.load(std::memory_order_relaxed)) / 1000;
}

// Who borrowed the root before it was made to lead nowhere is in a call that was given the same number.
bool Branch::is_mount(std::uint64_t mount) const {
    if (mount == mount_.load(std::memory_order_relaxed)) return true;
    const auto nowhere = present() ? Result<std::uint64_t>(Errno(ENOENT)) : sys::mount_of(p_.root);
    return nowhere && *nowhere == mount;
}

std::string Branch::passthrough_reason() const {
    MutexLock lock(mutex_);
    return reason_;
}

void Branch::passthrough_works() {
    auto expected = Passthrough::untried;
    passthrough_.compare_exchange_strong(expected, Passthrough::yes, std::memory_order_relaxed);
}

void Branch::passthrough_refused(std::string reason) {
    if (passthrough_.exchange(Passthrough::no, std::memory_order_relaxed) == Passthrough::no) return;
    log::warn("branch {}: no passthrough, reads and writes go through the daemon: {}", p_.path, reason);
    MutexLock lock(mutex_);
    reason_ = std::move(reason);
}

void Branch::read_failed() {
    if (read_failed_.exchange(true, std::memory_order_relaxed)) return;
    log::warn("branch {}: a file can not be read (EIO); its copy on another branch is read instead", path());
}

}  // namespace plyfs

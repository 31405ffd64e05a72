#include "branch/branch.h"

#include <time.h>

#include "base/log.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

std::int64_t monotonic_seconds() {
    struct timespec now;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

}  // namespace

Space Branch::space() const {
    const std::int64_t now = monotonic_seconds();
    {
        MutexLock lock(mutex_);
        if (space_taken_ == now) return space_;
    }
    Space fresh;
    if (auto st = sys::stat_fs(p_.root)) {
        fresh.available = static_cast<std::uint64_t>(st->f_bavail) * st->f_frsize;
        fresh.total = static_cast<std::uint64_t>(st->f_blocks) * st->f_frsize;
        fresh.read_only = (st->f_flag & ST_RDONLY) != 0;
        fresh.no_inodes = st->f_files != 0 && st->f_favail == 0;  // f_files is 0 where inodes are made on demand
    }
    MutexLock lock(mutex_);
    space_ = fresh;
    space_taken_ = now;
    return fresh;
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

}  // namespace plyfs

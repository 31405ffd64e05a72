#include "node/kept_times.h"

#include <time.h>

#include <array>
#include <unordered_map>

#include "base/log.h"
#include "base/mutex.h"
#include "sys/attributes.h"

namespace plyfs {
namespace {

struct Times {
    timespec atime;
    timespec mtime;
    int keepers;
};

// By LayerDir::identity. Leaves: nothing but calls that ask for and set times is done under the lock.
struct Slot {
    Mutex mutex;
    std::unordered_map<std::uint64_t, Times> kept GUARDED_BY(mutex);
};

Slot& slot_of(std::uint64_t identity) {
    static std::array<Slot, 64> all;
    return all[identity % all.size()];
}

timespec settled(const timespec& wanted, const timespec& before) {
    if (wanted.tv_nsec == UTIME_OMIT) return before;
    timespec now = wanted;
    if (wanted.tv_nsec == UTIME_NOW) ::clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

}  // namespace

KeptTimes::KeptTimes(SharedDir dir) : dir_(std::move(dir)), identity_(dir_->identity()) {
    if (identity_ == 0) return;
    Slot& slot = slot_of(identity_);
    MutexLock lock(slot.mutex);
    auto found = slot.kept.find(identity_);
    if (found == slot.kept.end()) {
        const auto st = sys::stat_fd(*dir_);
        if (!st) return;
        const Times times{
            {st->stx_atime.tv_sec, st->stx_atime.tv_nsec}, {st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec}, 0};
        found = slot.kept.emplace(identity_, times).first;
    }
    ++found->second.keepers;
    kept_ = true;
}

KeptTimes::~KeptTimes() {
    if (!kept_) return;
    Slot& slot = slot_of(identity_);
    MutexLock lock(slot.mutex);
    const auto found = slot.kept.find(identity_);
    // Times are a courtesy here: the copy itself stands.
    if (!sys::set_times(*dir_, found->second.atime, found->second.mtime)) {
        log::debug("times of a directory were not kept after a copy-up");
    }
    if (--found->second.keepers == 0) slot.kept.erase(found);
}

Status set_directory_times(BorrowedFd dir, const timespec& atime, const timespec& mtime) {
    const std::uint64_t identity = sys::hash_of(sys::key_of(TRY(sys::stat_fd(dir))));
    Slot& slot = slot_of(identity);
    MutexLock lock(slot.mutex);
    TRY(sys::set_times(dir, atime, mtime));
    if (const auto found = slot.kept.find(identity); found != slot.kept.end()) {
        Times& times = found->second;
        times.atime = settled(atime, times.atime);
        times.mtime = settled(mtime, times.mtime);
    }
    return {};
}

}  // namespace plyfs

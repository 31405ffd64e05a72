#include "node/kept_times.h"

#include <array>
#include <atomic>

#include "base/log.h"
#include "sys/attributes.h"

namespace plyfs {

// Whoever sets times waits for those that keep, never the other way round: they hold locks of nodes.
struct KeptTimes::Keepers {
    std::atomic<int> active = 0;
    std::atomic<std::uint64_t> ended = 0;

    static Keepers& of(std::uint64_t identity) {
        static std::array<Keepers, 64> all;
        return all[identity % all.size()];
    }
};

KeptTimes::KeptTimes(SharedDir dir)
    : dir_(std::move(dir)), keepers_(Keepers::of(dir_->identity())), st_(Errno(ENOENT)) {
    ++keepers_.active;
    st_ = sys::stat_fd(*dir_);
}

KeptTimes::~KeptTimes() {
    if (st_) {
        const timespec atime{st_->stx_atime.tv_sec, st_->stx_atime.tv_nsec};
        const timespec mtime{st_->stx_mtime.tv_sec, st_->stx_mtime.tv_nsec};
        // Times are a courtesy here: the copy itself stands.
        if (!sys::set_times(*dir_, atime, mtime)) log::debug("times of a directory were not kept after a copy-up");
    }
    ++keepers_.ended;
    --keepers_.active;
    keepers_.active.notify_all();
}

Status set_directory_times(BorrowedFd dir, const timespec& atime, const timespec& mtime) {
    constexpr int kRounds = 20;  // and not as long as somebody goes through the directory and changes each file
    auto& keepers = KeptTimes::Keepers::of(sys::hash_of(sys::key_of(TRY(sys::stat_fd(dir)))));
    for (int round = 0; round < kRounds; ++round) {
        const auto ended = keepers.ended.load();
        TRY(sys::set_times(dir, atime, mtime));
        int active = keepers.active.load();
        if (active == 0 && keepers.ended.load() == ended) break;
        for (; active > 0; active = keepers.active.load()) keepers.active.wait(active);
    }
    return {};
}

}  // namespace plyfs

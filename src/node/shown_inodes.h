// ShownInodes: the inode number that a copied-up object goes on showing, which is that of the original. Outlives the
// node, because the kernel may forget and look up again at any time. Objects that were not copied up have no entry.
#pragma once

#include <atomic>
#include <cstdint>
#include <unordered_map>

#include "base/mutex.h"
#include "branch/branch_set.h"

namespace plyfs {

class ShownInodes {
  public:
    void keep(std::uint64_t device, std::uint64_t inode, std::uint64_t shown) {
        ExclusiveLock lock(mutex_);
        shown_[{device, inode}] = shown;
        any_.store(true, std::memory_order_release);
    }
    // An object that shows `shown` is there from now on, and not where it was: what gets the inode that it leaves shows
    // a number that nothing else has, for as long as this lives.
    void move(const sys::FileKey& from, const sys::FileKey& to, std::uint64_t shown) {
        ExclusiveLock lock(mutex_);
        shown_[{to.dev, to.ino}] = shown;
        shown_[{from.dev, from.ino}] = left_[{from.dev, from.ino}] = kFresh - fresh_++;
        any_.store(true, std::memory_order_release);
    }
    void drop(std::uint64_t device, std::uint64_t inode) {
        if (!any_.load(std::memory_order_acquire)) return;
        ExclusiveLock lock(mutex_);
        if (auto it = left_.find({device, inode}); it != left_.end()) {
            shown_[{device, inode}] = it->second;
        } else {
            shown_.erase({device, inode});
        }
    }
    bool has(std::uint64_t device, std::uint64_t inode) {
        if (!any_.load(std::memory_order_acquire)) return false;
        SharedLock lock(mutex_);
        return shown_.contains({device, inode});
    }
    std::uint64_t of(const BranchSet& set, std::uint64_t device, std::uint64_t inode) {
        if (any_.load(std::memory_order_acquire)) {
            SharedLock lock(mutex_);
            if (auto it = shown_.find({device, inode}); it != shown_.end()) return it->second;
        }
        return set.shown_inode(device, inode);
    }

  private:
    struct Hash {
        std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& key) const {
            return key.second * 0x9e3779b97f4a7c15ULL ^ key.first;
        }
    };
    using Numbers = std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t, Hash>;
    // The highest that BranchSet::shown_inode() could give, to a file system with as many inodes.
    static constexpr std::uint64_t kFresh = ~(std::uint64_t{1} << 63);

    SharedMutex mutex_;
    Numbers shown_ GUARDED_BY(mutex_);
    Numbers left_ GUARDED_BY(mutex_);  // what inodes show whose own number went with an object that moved away
    std::uint64_t fresh_ GUARDED_BY(mutex_) = 0;
    std::atomic<bool> any_{false};
};

}  // namespace plyfs

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
    void drop(std::uint64_t device, std::uint64_t inode) {
        if (!any_.load(std::memory_order_acquire)) return;
        ExclusiveLock lock(mutex_);
        shown_.erase({device, inode});
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
    SharedMutex mutex_;
    std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t, Hash> shown_ GUARDED_BY(mutex_);
    std::atomic<bool> any_{false};
};

}  // namespace plyfs

// OwnCloses: files that somebody wrote to through the mount and closed since it was last asked. The kernel wrote them
// for him, so the branch's file system tells of it as of anybody's; but the mount knows already.
//
// Thread-safe; the lock is a leaf.
#pragma once

#include <atomic>
#include <unordered_set>
#include <utility>

#include "base/mutex.h"
#include "node/node.h"

namespace plyfs {

class OwnCloses {
  public:
    // Before that nobody asks, and nothing is kept.
    void start() { wanted_.store(true, std::memory_order_relaxed); }

    void note(NodeId id) {
        if (!wanted_.load(std::memory_order_relaxed)) return;
        MutexLock lock(mutex_);
        // Who does not ask for so long has them told as others' changes.
        if (closed_.size() >= kMost) closed_.clear();
        closed_.insert(id);
    }

    std::unordered_set<NodeId> take() {
        MutexLock lock(mutex_);
        return std::exchange(closed_, {});
    }

  private:
    static constexpr std::size_t kMost = 4096;
    std::atomic<bool> wanted_{false};
    Mutex mutex_;
    std::unordered_set<NodeId> closed_ GUARDED_BY(mutex_);
};

}  // namespace plyfs

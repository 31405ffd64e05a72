// The descriptor that an open file of the kernel's keeps of the file that has a node's bytes. Its node knows it
// (Opens::kept), so that it can be let go of when those bytes come to lie elsewhere: a file without a name takes space
// for as long as somebody has it open. Its mutex is a leaf.
#pragma once

#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/mutex.h"

namespace plyfs {

using SharedFd = std::shared_ptr<const UniqueFd>;

class KeptDescriptor {
  public:
    // Null: none is kept, or it is one of another generation.
    SharedFd find(std::uint32_t generation) {
        MutexLock lock(mutex_);
        return generation == generation_ ? fd_ : nullptr;
    }
    SharedFd any() {
        MutexLock lock(mutex_);
        return fd_;
    }
    // is_current: called under the mutex; the node's generation rises before it has all let go.
    template <typename IsCurrent>
    void keep(SharedFd fd, std::uint32_t generation, IsCurrent is_current) {
        MutexLock lock(mutex_);
        if (!is_current()) return;
        fd_.swap(fd);  // what was there is closed after the lock
        generation_ = generation;
    }
    // To be closed without locks.
    SharedFd let_go() {
        MutexLock lock(mutex_);
        return std::move(fd_);
    }

  private:
    Mutex mutex_;
    SharedFd fd_ GUARDED_BY(mutex_);
    std::uint32_t generation_ GUARDED_BY(mutex_) = 0;
};

}  // namespace plyfs

// LockWaiter: the one thread that asks again for locks somebody else holds. Started by the first wait.
#pragma once

#include <functional>
#include <list>
#include <thread>

#include "base/mutex.h"
#include "ops/context.h"

namespace plyfs::fuse {

class LockWaiter {
  public:
    struct Wait {
        ops::Request request;  // whose interruption ends the wait with EINTR; may not block
        bool for_lock;         // EAGAIN, which says that it is still held, is no answer
        std::function<Status(ops::Context&, const ops::Request&)> attempt;  // EINPROGRESS: its file is being moved
        std::function<void(Status)> answer;                                 // called once
    };
    explicit LockWaiter(ops::Context& ctx) : ctx_(ctx) {}
    ~LockWaiter() { stop(); }
    // Whoever still waits is answered EINTR: the mount is gone.
    void stop();
    void wait(Wait wait);

  private:
    void run();

    ops::Context& ctx_;
    Mutex mutex_;
    CondVar wake_;
    std::list<Wait> waits_ GUARDED_BY(mutex_);
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace plyfs::fuse

// Gate: where each thread that reads requests passes with what it has read. Closed, it keeps them waiting there, so
// that a daemon that is to be followed by another one finds nobody in the middle of anything (fuse/handover.h). What
// waits there when the daemon ends was read and not answered: the kernel sends it again.
#pragma once

#include <atomic>
#include <memory>

#include "base/mutex.h"

namespace plyfs::fuse {

class Gate {
  public:
    // With a request; waits while closed.
    void enter();
    // By a thread that comes for its next request, or ends.
    void leave();

    // Nobody enters from now on.
    void close();
    void open();
    bool is_empty() const { return inside_->load() == 0; }

  private:
    using Count = std::shared_ptr<std::atomic<int>>;
    // Of each thread: where it is inside, so that one that ends is not counted for ever. Nobody waits for the end of
    // those that libfuse makes beyond its limit, which may come after the gate's.
    struct Pass {
        Count of;
        bool inside = false;
        ~Pass();
    };
    static thread_local Pass pass_;

    const Count inside_ = std::make_shared<std::atomic<int>>(0);
    std::atomic<bool> closed_{false};
    Mutex mutex_;
    CondVar opened_;
};

}  // namespace plyfs::fuse

#include "fuse/lock_waiter.h"

#include <chrono>

namespace plyfs::fuse {
namespace {

// A branch tells nobody when a lock is freed. A waiter gets it this late at most; a hundred waiters cost little.
constexpr auto kRetry = std::chrono::milliseconds(5);

}  // namespace

void LockWaiter::stop() {
    std::thread thread;
    std::list<Wait> left;
    {
        MutexLock lock(mutex_);
        stopping_ = true;
        thread = std::move(thread_);
    }
    wake_.notify_all();
    if (thread.joinable()) thread.join();
    {
        MutexLock lock(mutex_);
        left = std::move(waits_);
    }
    for (auto& wait : left) wait.answer(Errno(EINTR));
}

void LockWaiter::wait(Wait wait) {
    {
        MutexLock lock(mutex_);
        waits_.push_back(std::move(wait));
        if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    }
    wake_.notify_all();
}

void LockWaiter::run() {
    for (;;) {
        std::list<Wait> round;
        {
            MutexLock lock(mutex_);
            while (waits_.empty() && !stopping_) wake_.wait(mutex_);
            if (stopping_) return;
            round.swap(waits_);
        }
        std::list<Wait> still;
        for (auto it = round.begin(); it != round.end();) {
            auto next = std::next(it);
            auto done = it->attempt(ctx_, it->request);
            const bool again = done.failed_with(EINPROGRESS) || (done.failed_with(EAGAIN) && it->for_lock);
            if (again && !(it->request.cancelled && it->request.cancelled())) {
                still.splice(still.end(), round, it);
            } else {
                it->answer(again ? Status(Errno(EINTR)) : std::move(done));
            }
            it = next;
        }
        MutexLock lock(mutex_);
        waits_.splice(waits_.begin(), still);
        if (!waits_.empty() && !stopping_) wake_.wait_for(mutex_, kRetry);
    }
}

}  // namespace plyfs::fuse

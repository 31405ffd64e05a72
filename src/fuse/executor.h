// Executor: threads for what may take long (data copies, fsync), so that the threads that read requests never wait for
// it. Grows with the work waiting, up to a limit; threads end with the executor.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace plyfs::fuse {

class Executor {
  public:
    explicit Executor(std::size_t max_threads) : max_threads_(max_threads) {}
    // Finishes what was posted.
    ~Executor();
    // Where the system gives no thread at all, the work is done before this returns.
    void post(std::function<void()> work);

  private:
    void run();
    bool grow() REQUIRES(mutex_);

    const std::size_t max_threads_;
    Mutex mutex_;
    CondVar wake_;
    std::deque<std::function<void()>> queue_ GUARDED_BY(mutex_);
    std::vector<std::thread> threads_ GUARDED_BY(mutex_);
    std::size_t idle_ GUARDED_BY(mutex_) = 0;
    bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace plyfs::fuse

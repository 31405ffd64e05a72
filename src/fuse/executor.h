// Executor: threads for what may take long (data copies, fsync), so that the threads that read requests never wait for
// it. Grows with the work waiting, up to a limit; threads end with the executor.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace plyfs::fuse {

class Executor {
  public:
    explicit Executor(std::size_t max_threads) : max_threads_(max_threads) {}
    ~Executor() { finish(); }
    // Ends when all that was posted is done, and its threads.
    void finish();
    // Where the system gives no thread at all, the work is done before this returns.
    void post(std::function<void()> work);
    // To be called once in a while: when nothing was done since the last time, although there is work, all threads may
    // be waiting for a branch that hangs. There are more then than the limit says.
    void relieve();
    // Whether no more than that is being done, and nothing waits.
    bool is_idle_but_for(std::size_t running);

  private:
    void run();
    bool grow() REQUIRES(mutex_);

    const std::size_t max_threads_;
    Mutex mutex_;
    CondVar wake_;
    std::deque<std::function<void()>> queue_ GUARDED_BY(mutex_);
    std::vector<std::thread> threads_ GUARDED_BY(mutex_);
    std::size_t idle_ GUARDED_BY(mutex_) = 0;
    std::uint64_t done_ GUARDED_BY(mutex_) = 0;
    std::uint64_t done_before_ GUARDED_BY(mutex_) = 0;  // when it was last looked
    bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace plyfs::fuse

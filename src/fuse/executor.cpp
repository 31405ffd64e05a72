#include "fuse/executor.h"

#include <system_error>
#include <utility>

#include "base/log.h"

namespace plyfs::fuse {
namespace {

constexpr std::size_t kMostThreads = 512;

}  // namespace

void Executor::finish() {
    std::vector<std::thread> threads;
    {
        MutexLock lock(mutex_);
        stopping_ = true;
        threads = std::move(threads_);
    }
    wake_.notify_all();
    for (auto& thread : threads) thread.join();
}

void Executor::post(std::function<void()> work) {
    {
        MutexLock lock(mutex_);
        // At the end nobody would join it; whoever posts then is a thread that goes on until all is done.
        const bool grows = !stopping_ && queue_.size() >= idle_ && threads_.size() < max_threads_;
        if (!grows || grow() || !threads_.empty()) queue_.push_back(std::exchange(work, nullptr));
    }
    if (!work) return wake_.notify_one();
    work();
}

void Executor::relieve() {
    {
        MutexLock lock(mutex_);
        const bool stuck = !queue_.empty() && idle_ == 0 && done_ == std::exchange(done_before_, done_);
        if (!stuck || stopping_ || threads_.size() < max_threads_) return;
        for (std::size_t i = queue_.size(); i > 0 && threads_.size() < kMostThreads && grow();) --i;
    }
    wake_.notify_all();
}

bool Executor::is_idle_but_for(std::size_t running) {
    MutexLock lock(mutex_);
    return queue_.empty() && threads_.size() <= idle_ + running;
}

// False at a limit of processes or of memory.
bool Executor::grow() {
    try {
        threads_.emplace_back([this] { run(); });
        return true;
    } catch (const std::system_error& e) {
        log::debug("no further thread: {}", e.what());
        return false;
    }
}

void Executor::run() {
    for (;;) {
        std::function<void()> work;
        {
            MutexLock lock(mutex_);
            ++idle_;
            while (queue_.empty() && !stopping_) wake_.wait(mutex_);
            --idle_;
            if (queue_.empty()) return;
            work = std::move(queue_.front());
            queue_.pop_front();
        }
        work();
        work = nullptr;
        MutexLock lock(mutex_);
        ++done_;
    }
}

}  // namespace plyfs::fuse

// Mutexes that wear clang's thread-safety annotations, so that `-Wthread-safety` proves which lock guards what. The
// lock order is in src/README.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <shared_mutex>

#if defined(__clang__)
#define PLYFS_TSA(x) __attribute__((x))
#else
#define PLYFS_TSA(x)
#endif
#define CAPABILITY(x) PLYFS_TSA(capability(x))
#define SCOPED_CAPABILITY PLYFS_TSA(scoped_lockable)
#define GUARDED_BY(x) PLYFS_TSA(guarded_by(x))
#define REQUIRES(...) PLYFS_TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) PLYFS_TSA(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...) PLYFS_TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) PLYFS_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) PLYFS_TSA(release_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) PLYFS_TSA(release_generic_capability(__VA_ARGS__))
#define EXCLUDES(...) PLYFS_TSA(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS PLYFS_TSA(no_thread_safety_analysis)

namespace plyfs {

// Four bytes, where std::mutex has forty: each object that the kernel knows has one. As glibc's does, whoever finds it
// free takes it, and who has to wait sleeps in the kernel.
class CAPABILITY("mutex") Mutex {
  public:
    void lock() ACQUIRE() {
        int found = kFree;
        if (!state_.compare_exchange_strong(found, kTaken, std::memory_order_acquire)) wait();
    }
    void unlock() RELEASE() {
        if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
    }

  private:
    enum : int { kFree, kTaken, kAwaited };
    // Who comes from sleep does not know whether others still do, so it leaves the mutex as awaited.
    void wait() {
        while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree) {
            state_.wait(kAwaited, std::memory_order_relaxed);
        }
    }
    std::atomic<int> state_{kFree};
};

class SCOPED_CAPABILITY MutexLock {
  public:
    explicit MutexLock(Mutex& m) ACQUIRE(m) : m_(m) { m_.lock(); }
    ~MutexLock() RELEASE() { m_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& m_;
};

class CAPABILITY("mutex") SharedMutex {
  public:
    void lock() ACQUIRE() { m_.lock(); }
    void unlock() RELEASE() { m_.unlock(); }
    void lock_shared() ACQUIRE_SHARED() { m_.lock_shared(); }
    void unlock_shared() PLYFS_TSA(release_shared_capability()) { m_.unlock_shared(); }

  private:
    std::shared_mutex m_;
};

class SCOPED_CAPABILITY SharedLock {
  public:
    explicit SharedLock(SharedMutex& m) ACQUIRE_SHARED(m) : m_(m) { m_.lock_shared(); }
    ~SharedLock() RELEASE_GENERIC() { m_.unlock_shared(); }
    SharedLock(const SharedLock&) = delete;
    SharedLock& operator=(const SharedLock&) = delete;

  private:
    SharedMutex& m_;
};

class SCOPED_CAPABILITY ExclusiveLock {
  public:
    explicit ExclusiveLock(SharedMutex& m) ACQUIRE(m) : m_(m) { m_.lock(); }
    ~ExclusiveLock() RELEASE() { m_.unlock(); }
    ExclusiveLock(const ExclusiveLock&) = delete;
    ExclusiveLock& operator=(const ExclusiveLock&) = delete;

  private:
    SharedMutex& m_;
};

// Waits with a Mutex held; spurious wake-ups happen, so callers loop on their condition.
class CondVar {
  public:
    void wait(Mutex& m) REQUIRES(m) { cv_.wait(m); }
    template <typename Duration>
    void wait_for(Mutex& m, Duration d) REQUIRES(m) {
        cv_.wait_for(m, d);
    }
    void notify_all() { cv_.notify_all(); }
    void notify_one() { cv_.notify_one(); }

  private:
    std::condition_variable_any cv_;
};

}  // namespace plyfs

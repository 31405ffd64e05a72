// Readers: the threads that read requests. A daemon that leaves for another one keeps all of them out of read(2) first:
// whoever is killed while the kernel gives it a request may not get it, and who asked gets EIO.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <unordered_set>

#include "base/mutex.h"

namespace plyfs::fuse {

class Readers {
  public:
    // Gets out of read(2) who is in it (EINTR), and lets nobody in again. False: somebody is still in there.
    bool hold(std::chrono::milliseconds most);
    void let_go();

    // While a thread reads; waits while they are held.
    class Reading {
      public:
        explicit Reading(Readers& readers);
        ~Reading();
        Reading(const Reading&) = delete;
        Reading& operator=(const Reading&) = delete;
    };

  private:
    struct Seat;
    struct Seats {
        Mutex mutex;
        std::unordered_set<Seat*> all GUARDED_BY(mutex);
    };
    // Of each thread, as long as that lives. Nobody waits for the end of those that libfuse makes beyond its limit,
    // which may come after ours.
    struct Seat {
        ~Seat();
        std::shared_ptr<Seats> among;
        pthread_t thread{};
        std::atomic<bool> reads{false};
    };
    static thread_local Seat seat_;
    void take_seat();
    void wait_until_let_go();
    bool call_out();

    const std::shared_ptr<Seats> seats_ = std::make_shared<Seats>();
    std::atomic<bool> held_{false};
    Mutex mutex_;
    CondVar let_go_;
};

}  // namespace plyfs::fuse

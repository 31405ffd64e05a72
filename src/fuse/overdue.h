// Overdue: answers requests in the place of threads that the kernel does not give back, because they are in a call on a
// branch that hangs (or wait for a thread that is): ETIMEDOUT, once they have taken as long as branches may. Whoever
// asked goes on, and what he held in the kernel meanwhile, a directory's lock for one, is free for others. The thread
// finds its request answered when it comes back, and undoes what the kernel does not know of.
//
// Where a thread waits is asked of the kernel (sys/waiting), and only while a branch hangs: so the branch is nothing
// that operations have to note, and who is busy for long with another branch is left alone.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "branch/branch_set.h"
#include "fuse/libfuse.h"

namespace plyfs::fuse {

class Overdue {
    // What one thread serves.
    struct Seat {
        explicit Seat(pid_t thread_) : thread(thread_) {}
        const pid_t thread;
        Mutex mutex;
        fuse_req_t request GUARDED_BY(mutex) = nullptr;
        std::chrono::steady_clock::time_point since GUARDED_BY(mutex);
    };

  public:
    // What is done once in a while by the way; and what when the mount is gone, but threads do not come back from a
    // branch: it must not return.
    struct Chores {
        std::function<void()> relieve;
        std::function<bool()> mount_is_gone;
        std::function<void()> leave;
    };
    // timeout: seconds; 0: nobody's request is answered.
    Overdue(const BranchSet& set, double timeout);
    ~Overdue();
    Overdue(const Overdue&) = delete;
    Overdue& operator=(const Overdue&) = delete;

    void start(Chores chores);
    void stop();

    // A request that this thread serves from now on, until the end of it.
    class Turn {
      public:
        Turn(Overdue& overdue, fuse_req_t request, std::chrono::steady_clock::time_point since);
        ~Turn() { end(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        // True: the request is this thread's to answer. False: somebody has.
        bool end();
        // Whether the caller was interrupted, or was answered; as long as the turn lasts. Who asks that is not stuck.
        std::function<bool()> interrupted() const;

      private:
        std::shared_ptr<Seat> seat_;
        fuse_req_t request_;
        bool ours_ = true;
        bool ended_ = false;
    };

  private:
    std::shared_ptr<Seat> seat_of_this_thread();
    void run();
    void answer_overdue();
    bool is_stuck(pid_t thread) const;
    bool rest();

    const BranchSet& set_;
    const std::chrono::duration<double> timeout_;
    Chores chores_;
    Mutex mutex_;
    CondVar wake_;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::vector<std::weak_ptr<Seat>> seats_ GUARDED_BY(mutex_);
    std::thread thread_;
};

}  // namespace plyfs::fuse

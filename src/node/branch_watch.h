// BranchWatch: a thread that looks after the branches of a pool, so that no request has to: whether each is still what
// its path leads to, and how much space it has. Two system calls a branch and second; requests read what it left.
//
// A branch is gone when its path leads to something else than we hold (unmounted, also by detaching, or taken out of
// the machine), and back when the path leads to what may be it: a mount where there was one, a directory where it was a
// plain one; a mount marker has the last word (sys/mount_marker).
#pragma once

#include <thread>

#include "base/mutex.h"
#include "node/tree.h"

namespace plyfs {

class BranchWatch {
  public:
    // space_age: seconds, as the option says; 0: the space is not read here.
    BranchWatch(Tree& tree, double space_age);
    ~BranchWatch();
    BranchWatch(const BranchWatch&) = delete;
    BranchWatch& operator=(const BranchWatch&) = delete;

  private:
    void run();
    void look_at(BranchIndex branch);
    void refresh_space();

    Tree& tree_;
    const std::chrono::duration<double> space_age_;
    std::chrono::steady_clock::time_point space_read_{};
    std::vector<bool> was_mount_;  // by branch: its root was one of a mount
    Mutex mutex_;
    CondVar wake_;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::thread thread_;  // last: it uses the others
};

}  // namespace plyfs

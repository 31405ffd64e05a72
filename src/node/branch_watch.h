// BranchWatch: looks after the branches, so that no request has to: whether each is still what its path leads to, how
// much space it has, and whether its file system answers at all. A few system calls a branch and second; requests read
// what they left.
//
// A branch of a pool is gone when its path leads to something else than we hold (unmounted, also by detaching, or taken
// out of the machine), and back when the path leads to what may be it: a mount where there was one, a directory where
// it was a plain one; a mount marker has the last word (sys/mount_marker).
//
// A thread a branch, since a look at one that hangs returns when it likes; and one that minds how long the looks take
// and never asks a branch itself. Of a pool a branch that hangs is taken away like one that went, so that nothing more
// is asked of it; of layers it stays, for what is below must not be seen, and is answered for with an error.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "node/tree.h"

namespace plyfs {

class BranchWatch {
  public:
    struct Terms {
        bool layers = false;   // only those on the network are looked after, and only whether they answer
        double space_age = 1;  // seconds, as the option says; 0: the space is not read here
        double timeout = 30;   // seconds; 0: however long a look takes, the branch does not hang
    };
    BranchWatch(Tree& tree, const Terms& terms);
    // What does not come back from its branch is waited for: see stop().
    ~BranchWatch();
    // The end of looking. False: after a moment somebody has not come back from his branch, so this must not be
    // destroyed.
    bool stop();
    BranchWatch(const BranchWatch&) = delete;
    BranchWatch& operator=(const BranchWatch&) = delete;

  private:
    // What is looked after of one branch. By its own thread, but for `took` and `looking`.
    struct Post {
        BranchIndex branch = 0;
        bool was_mount = false;  // its root was one of a mount
        std::chrono::steady_clock::time_point space_read{};
        bool looking = false;
        std::chrono::duration<double> took{};  // the look, as far as it was minded
        bool ended = false;
        std::thread thread;
    };
    void run(Post& post);
    bool look(Post& post);
    void look_at(Post& post);
    void refresh_space(Post& post);
    void take_away(BranchIndex branch, const std::string& why);
    void give_up(BranchIndex branch);
    void begin_look(Post& post);
    bool end_look(Post& post);
    void mind();
    void mind(Post& post, std::chrono::duration<double> passed) REQUIRES(mutex_);
    bool rest(std::chrono::duration<double> time);

    Tree& tree_;
    const Terms terms_;
    Mutex mutex_;
    CondVar wake_;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::vector<std::unique_ptr<Post>> posts_;
    std::thread minder_;  // last: it uses the others
};

}  // namespace plyfs

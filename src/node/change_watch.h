// ChangeWatch: a thread that hears of what others change on the branches of a pool and makes the kernel ask anew for
// it, so that the kernel may be told to remember things for long. What we did ourselves at a request the kernel knows.
//
// Whatever an event says, the kernel is told twice where an answer may be under way that was found before the change:
// at once, and again a moment later. When too much happened to be told, everything the kernel may remember is asked
// anew, and is not remembered for long until that is done.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "node/changed_places.h"
#include "node/kernel_cache.h"
#include "node/tree.h"
#include "sys/fs_events.h"

namespace plyfs {

class ChangeWatch {
  public:
    // Before the mount is served. Null: not all branches can be watched, and `why` tells which is not.
    static std::unique_ptr<ChangeWatch> make(Tree& tree, std::string& why);
    ~ChangeWatch() { stop(); }
    ChangeWatch(const ChangeWatch&) = delete;
    ChangeWatch& operator=(const ChangeWatch&) = delete;

    // Once the mount is there; `cache` outlives stop(). others: the branches are not those of the daemon before, so
    // whatever the kernel knows may be wrong.
    void start(KernelCache& cache, bool others = false);
    void stop();

    using Clock = std::chrono::steady_clock;
    // The kernel is told nothing until release(), and nobody is in the middle of that, unless it lasts until then: who
    // waits in the kernel for a lock of it can not end, and keeps the process from ending.
    void hold(Clock::time_point latest);
    void release();

  private:
    // At least so often the branches are looked at.
    static constexpr std::chrono::milliseconds kLook{1000};
    // A name in a directory, or with no name the attributes of a node.
    using Item = std::pair<NodeId, std::string>;
    // What a branch was when it was last looked at.
    struct Seen {
        bool present = false;
        sys::FileKey root;
        friend bool operator==(const Seen&, const Seen&) = default;
    };

    ChangeWatch(Tree& tree, sys::FsEvents events) : tree_(tree), events_(std::move(events)), places_(tree) {}
    static std::string refusal(Errno e);
    void run();
    bool hear_all();
    bool hear(const sys::FsEvents::Event& event);
    void note_name(const sys::FsEvents::Event& event);
    void note_gone_dir(const sys::FsEvents::Event& event);
    NodeId note_object(const sys::FsEvents::Event& event, std::set<Item>& items);
    void note_written(const sys::FsEvents::Event& event);
    void sort_written();
    void tell_all();
    void tell(const Item& item, bool first);
    Status tell_kernel(const Item& item);
    void tell_again();
    std::chrono::milliseconds rest() const;

    bool watch_branches(std::string& why);
    void look_at_branches();
    void doubt(std::string_view why);
    Clock::time_point end_of_doubt() const;  // at the earliest
    void end_doubt();
    void forget_everything();
    void forget_nodes();
    void settle_trust();
    void give_up(std::string_view why);

    Tree& tree_;
    sys::FsEvents events_;
    ChangedPlaces places_;
    KernelCache* cache_ = nullptr;
    pid_t own_ = 0;
    std::vector<Seen> seen_;  // by branch
    bool all_watched_ = true;
    bool trusted_ = true;
    bool doubting_ = false;
    bool gave_up_ = false;  // and the thread ends
    Clock::time_point doubted_{};
    Clock::time_point forgotten_{};  // when everything was
    Clock::time_point looked_{};
    std::set<Item> now_;                                   // to be told
    std::map<NodeId, std::set<Item>> written_;             // files, and what is to be told if others wrote them
    std::unordered_set<NodeId> closed_before_;             // by our own users, as of the last time
    std::map<Item, Clock::time_point> again_;              // and again, not before that
    std::deque<std::pair<Clock::time_point, Item>> line_;  // the same in order, and what was put off since

    std::atomic<bool> stopping_{false};
    Mutex mutex_;
    CondVar ended_;
    bool has_ended_ GUARDED_BY(mutex_) = false;
    CondVar rests_;
    bool held_ GUARDED_BY(mutex_) = false;
    bool telling_ GUARDED_BY(mutex_) = false;
    std::thread thread_;  // last: it uses the others
};

}  // namespace plyfs

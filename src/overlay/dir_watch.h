// DirWatch: tells what LayerNames of directories that others may change, those of a pool, can not know from having read
// them: the names made since, and that a directory changed at all. With it a branch said to lack a name lacks it,
// because the kernel tells of a new name before the call that made it returns, and whoever asks hears everything told
// until then
// (`catch_up`). So no lookup is answered by what was before it began.
//
// Thread-safe; the locks are leaves, but for the reading of the events.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "branch/branch.h"
#include "sys/dir_events.h"

namespace plyfs {

// A name on a branch: a hash and, in the low bits, the branch.
using NamePlace = std::uint64_t;
inline constexpr unsigned kNamePlaceBranchBits = 16;
inline NamePlace place_of(std::string_view name, BranchIndex branch = 0) {
    return std::uint64_t{std::hash<std::string_view>{}(name)} << kNamePlaceBranchBits |
           static_cast<std::uint16_t>(branch);
}

class DirWatch;

// What happened in some directories, each on another branch, since it was followed.
class DirNews {
  public:
    explicit DirNews(std::shared_ptr<DirWatch> watch) : watch_(std::move(watch)) {}
    ~DirNews();
    DirNews(const DirNews&) = delete;
    DirNews& operator=(const DirNews&) = delete;

    // To be called before the directory is read. False: nothing will be told of it.
    bool follow(BranchIndex branch, BorrowedFd dir);
    // Hears what was told until now. False: something was missed, and nothing is known from now on.
    bool catch_up();
    bool missed() const { return missed_.load(std::memory_order_acquire); }
    // The branches on which the name was made since, as far as was heard; in no order.
    std::vector<BranchIndex> made(std::string_view name) const;
    // The branches on which the directory changed since the last time this was asked, as far as was heard.
    std::unordered_set<BranchIndex> take_changes();

  private:
    friend class DirWatch;
    void hear_made(BranchIndex branch, std::string_view name);
    void hear_change(BranchIndex branch);
    void note(BranchIndex branch, std::string_view name) REQUIRES(mutex_);
    void miss() { missed_.store(true, std::memory_order_release); }

    const std::shared_ptr<DirWatch> watch_;
    std::atomic<bool> missed_{false};
    std::atomic<bool> any_{false};
    mutable Mutex mutex_;
    std::unordered_map<NamePlace, std::vector<BranchIndex>> made_ GUARDED_BY(mutex_);  // as on the first branch
    std::unordered_set<BranchIndex> changed_ GUARDED_BY(mutex_);
};

class DirWatch {
  public:
    // most: directories on branches that may be followed; more of them, and the oldest are followed no longer. Null
    // where the kernel does not tell.
    static std::shared_ptr<DirWatch> make(std::size_t most);
    // A share of what the user may have.
    static std::size_t usual_most();

    // All DirNews have missed something.
    void distrust_all();
    // Hears what was told until now, for all of them; no system call while nothing is followed.
    void catch_up();
    // How often a directory was made in one that is followed, or may have been, as far as was heard.
    std::uint32_t directories_made() const { return directories_made_.load(std::memory_order_acquire); }

  private:
    friend class DirNews;
    struct Follower {
        DirNews* news;
        BranchIndex branch;
    };
    struct Followed {
        std::vector<int> watches;
        std::list<DirNews*>::iterator place;  // in oldest_first_
    };
    DirWatch(sys::DirEvents events, std::size_t most) : most_(most), events_(std::move(events)) {}
    bool follow(DirNews& names, BranchIndex branch, BorrowedFd dir);
    void leave(DirNews& names);
    void let_go(const DirNews& names) REQUIRES(mutex_);
    void drop_oldest(const DirNews& but) REQUIRES(mutex_);

    const std::size_t most_;
    std::atomic<std::uint32_t> directories_made_{0};
    std::atomic<bool> follows_{false};
    Mutex mutex_;
    sys::DirEvents events_ GUARDED_BY(mutex_);
    std::unordered_map<int, std::vector<Follower>> followers_ GUARDED_BY(mutex_);  // by watch
    std::unordered_map<const DirNews*, Followed> followed_ GUARDED_BY(mutex_);
    std::list<DirNews*> oldest_first_ GUARDED_BY(mutex_);
};

}  // namespace plyfs

#include "overlay/dir_watch.h"

#include <algorithm>
#include <utility>

#include "overlay/marks.h"

namespace plyfs {
namespace {

// A directory in which more names were made since it was read is better read again.
constexpr std::size_t kMostNew = 8192;
// The kernel keeps the inode of each.
constexpr std::size_t kMostWatches = 32768;

}  // namespace

DirNews::~DirNews() {
    watch_->leave(*this);
}

bool DirNews::follow(BranchIndex branch, BorrowedFd dir) {
    return watch_->follow(*this, branch, dir);
}

bool DirNews::catch_up() {
    if (!missed()) watch_->catch_up();
    return !missed();
}

std::vector<BranchIndex> DirNews::made(std::string_view name) const {
    if (!any_.load(std::memory_order_acquire)) return {};
    MutexLock lock(mutex_);
    const auto found = made_.find(place_of(name));
    return found == made_.end() ? std::vector<BranchIndex>() : found->second;
}

std::unordered_set<BranchIndex> DirNews::take_changes() {
    MutexLock lock(mutex_);
    return std::exchange(changed_, {});
}

void DirNews::hear_change(BranchIndex branch) {
    MutexLock lock(mutex_);
    changed_.insert(branch);
}

// A mark of AUFS' hides a name, so that has to be looked for.
void DirNews::hear_made(BranchIndex branch, std::string_view name) {
    MutexLock lock(mutex_);
    note(branch, name);
    if (const auto hidden = marks::hidden_by(name); !hidden.empty()) note(branch, hidden);
    if (made_.size() > kMostNew) miss();
    any_.store(true, std::memory_order_release);
}

void DirNews::note(BranchIndex branch, std::string_view name) {
    auto& branches = made_[place_of(name)];
    if (std::find(branches.begin(), branches.end(), branch) == branches.end()) branches.push_back(branch);
}

std::size_t DirWatch::usual_most() {
    return std::min(kMostWatches, sys::most_dir_watches() / 2);
}

std::shared_ptr<DirWatch> DirWatch::make(std::size_t most) {
    auto events = sys::DirEvents::open();
    if (!events || most == 0) return nullptr;
    return std::shared_ptr<DirWatch>(new DirWatch(std::move(*events), most));
}

bool DirWatch::follow(DirNews& names, BranchIndex branch, BorrowedFd dir) {
    MutexLock lock(mutex_);
    if (followers_.size() >= most_) drop_oldest(names);
    if (followers_.size() >= most_) return false;
    const auto watch = events_.watch(dir);
    if (!watch) return false;
    follows_.store(true, std::memory_order_release);
    Followed& mine = followed_[&names];
    if (mine.watches.empty()) mine.place = oldest_first_.insert(oldest_first_.end(), &names);
    mine.watches.push_back(*watch);
    followers_[*watch].push_back({&names, branch});
    return true;
}

void DirWatch::leave(DirNews& names) {
    MutexLock lock(mutex_);
    let_go(names);
}

void DirWatch::let_go(const DirNews& names) {
    const auto mine = followed_.find(&names);
    if (mine == followed_.end()) return;
    for (int watch : mine->second.watches) {
        const auto place = followers_.find(watch);
        if (place == followers_.end()) continue;
        std::erase_if(place->second, [&](const Follower& follower) { return follower.news == &names; });
        if (!place->second.empty()) continue;
        followers_.erase(place);
        events_.unwatch(watch);
    }
    oldest_first_.erase(mine->second.place);
    followed_.erase(mine);
    follows_.store(!followed_.empty(), std::memory_order_release);
}

void DirWatch::drop_oldest(const DirNews& but) {
    for (DirNews* oldest : oldest_first_) {
        if (oldest == &but) continue;
        oldest->miss();
        let_go(*oldest);
        return;
    }
}

void DirWatch::catch_up() {
    using What = sys::DirEvents::Event::What;
    if (!follows_.load(std::memory_order_acquire)) return;
    MutexLock lock(mutex_);
    sys::DirEvents::Event event;
    for (;;) {
        const auto more = events_.next(event);
        if (more && !*more) return;
        if (!more || event.what == What::lost) {
            for (DirNews* names : oldest_first_) names->miss();
            if (!more) return;
            continue;
        }
        const auto place = followers_.find(event.watch);
        if (place == followers_.end()) continue;
        if (event.directory && event.what == What::made) directories_made_.fetch_add(1, std::memory_order_release);
        for (const Follower& follower : place->second) {
            if (event.what == What::ended) {
                follower.news->miss();
                continue;
            }
            if (event.what == What::made) follower.news->hear_made(follower.branch, event.name);
            follower.news->hear_change(follower.branch);
        }
    }
}

void DirWatch::distrust_all() {
    MutexLock lock(mutex_);
    for (DirNews* names : oldest_first_) names->miss();
}

}  // namespace plyfs

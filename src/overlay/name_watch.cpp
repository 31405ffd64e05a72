#include "overlay/name_watch.h"

#include <algorithm>

#include "overlay/marks.h"

namespace plyfs {
namespace {

// A directory in which more names were made since it was read is better read again.
constexpr std::size_t kMostNew = 8192;
// The kernel keeps the inode of each.
constexpr std::size_t kMostWatches = 32768;

}  // namespace

NewNames::~NewNames() {
    watch_->leave(*this);
}

bool NewNames::follow(BranchIndex branch, BorrowedFd dir) {
    return watch_->follow(*this, branch, dir);
}

bool NewNames::catch_up() {
    if (!missed()) watch_->catch_up();
    return !missed();
}

bool NewNames::made(NamePlace place) const {
    if (!any_.load(std::memory_order_acquire)) return false;
    MutexLock lock(mutex_);
    return made_.contains(place);
}

// A mark of AUFS' hides a name, so that has to be looked for.
void NewNames::hear(BranchIndex branch, std::string_view name) {
    MutexLock lock(mutex_);
    made_.insert(place_of(name, branch));
    if (const auto hidden = marks::hidden_by(name); !hidden.empty()) made_.insert(place_of(hidden, branch));
    if (made_.size() > kMostNew) miss();
    any_.store(true, std::memory_order_release);
}

std::size_t NameWatch::usual_most() {
    return std::min(kMostWatches, sys::most_name_watches() / 2);
}

std::shared_ptr<NameWatch> NameWatch::make(std::size_t most) {
    auto events = sys::NameEvents::open();
    if (!events || most == 0) return nullptr;
    return std::shared_ptr<NameWatch>(new NameWatch(std::move(*events), most));
}

bool NameWatch::follow(NewNames& names, BranchIndex branch, BorrowedFd dir) {
    MutexLock lock(mutex_);
    if (followers_.size() >= most_) drop_oldest(names);
    if (followers_.size() >= most_) return false;
    const auto watch = events_.watch(dir);
    if (!watch) return false;
    Followed& mine = followed_[&names];
    if (mine.watches.empty()) mine.place = oldest_first_.insert(oldest_first_.end(), &names);
    mine.watches.push_back(*watch);
    followers_[*watch].push_back({&names, branch});
    return true;
}

void NameWatch::leave(NewNames& names) {
    MutexLock lock(mutex_);
    let_go(names);
}

void NameWatch::let_go(const NewNames& names) {
    const auto mine = followed_.find(&names);
    if (mine == followed_.end()) return;
    for (int watch : mine->second.watches) {
        const auto place = followers_.find(watch);
        if (place == followers_.end()) continue;
        std::erase_if(place->second, [&](const Follower& follower) { return follower.names == &names; });
        if (!place->second.empty()) continue;
        followers_.erase(place);
        events_.unwatch(watch);
    }
    oldest_first_.erase(mine->second.place);
    followed_.erase(mine);
}

void NameWatch::drop_oldest(const NewNames& but) {
    for (NewNames* oldest : oldest_first_) {
        if (oldest == &but) continue;
        oldest->miss();
        let_go(*oldest);
        return;
    }
}

void NameWatch::catch_up() {
    using What = sys::NameEvents::Event::What;
    MutexLock lock(mutex_);
    sys::NameEvents::Event event;
    for (;;) {
        const auto more = events_.next(event);
        if (more && !*more) return;
        if (!more || event.what == What::lost) {
            for (NewNames* names : oldest_first_) names->miss();
            if (!more) return;
            continue;
        }
        const auto place = followers_.find(event.watch);
        if (place == followers_.end()) continue;
        for (const Follower& follower : place->second) {
            if (event.what == What::made) {
                follower.names->hear(follower.branch, event.name);
            } else {
                follower.names->miss();
            }
        }
    }
}

void NameWatch::distrust_all() {
    MutexLock lock(mutex_);
    for (NewNames* names : oldest_first_) names->miss();
}

}  // namespace plyfs

#include "node/change_watch.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "node/blocked_signals.h"
#include "overlay/marks.h"

namespace plyfs {
namespace {

using namespace std::chrono_literals;

// Longer than an answer takes from the branch to the kernel.
constexpr auto kAgain = 20ms;
// What we and our users do is told as well; while nobody else does anything it may gather.
constexpr auto kGather = 5ms;
// After that nobody will end by itself who waits for the kernel.
constexpr auto kLongestEnd = 2s;
constexpr int kMostAtOnce = 4096;
constexpr std::size_t kMostAgain = 1 << 16;

bool is_told(Status told) {
    // A node or name that the kernel keeps no more, or that never was a directory's.
    return told || told.failed_with(ENOENT) || told.failed_with(ENOTDIR) || told.failed_with(ESTALE);
}

}  // namespace

std::string ChangeWatch::refusal(Errno e) {
    return e == EPERM ? "fanotify watches file systems for root of the initial user namespace alone"
                      : "fanotify: " + log::errno_text(e.value());
}

std::unique_ptr<ChangeWatch> ChangeWatch::make(Tree& tree, std::string& why) {
    auto events = sys::FsEvents::open();
    if (!events) {
        why = refusal(events.error());
        return nullptr;
    }
    std::unique_ptr<ChangeWatch> out(new ChangeWatch(tree, std::move(*events)));
    return out->watch_branches(why) ? std::move(out) : nullptr;
}

void ChangeWatch::start(KernelCache& cache, bool others) {
    cache_ = &cache;
    if (others) doubt("other branches than before");
    own_ = ::getpid();
    tree_.own_closes().start();
    const BlockedSignals blocked;
    thread_ = std::thread([this] { run(); });
}

// The thread may wait for a directory that the kernel has locked for a request which nobody answers any more.
void ChangeWatch::stop() {
    if (!thread_.joinable()) return;
    stopping_.store(true);
    release();
    events_.wake();
    bool ended;
    {
        MutexLock lock(mutex_);
        const auto latest = Clock::now() + kLongestEnd;
        while (!has_ended_ && Clock::now() < latest) ended_.wait_for(mutex_, 100ms);
        ended = has_ended_;
    }
    if (!ended) cache_->abandon();
    thread_.join();
}

void ChangeWatch::run() {
    while (!stopping_.load() && !gave_up_) {
        const bool others = hear_all();
        places_.rest();
        if (places_.missed()) doubt("what changed could not be looked at for want of memory or descriptors");
        tell_all();
        tell_again();
        look_at_branches();
        end_doubt();
        if (!others) events_.pause(kGather);
        events_.wait(rest());
    }
    MutexLock lock(mutex_);
    has_ended_ = true;
    ended_.notify_all();
}

std::chrono::milliseconds ChangeWatch::rest() const {
    auto until = Clock::now() + kLook;
    if (!line_.empty()) until = std::min(until, line_.front().first);
    if (doubting_) until = std::min(until, end_of_doubt());
    return std::clamp(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()), 0ms, kLook);
}

// Whether others did anything.
bool ChangeWatch::hear_all() {
    bool others = false;
    sys::FsEvents::Event event;
    for (int heard = 0; heard < kMostAtOnce; ++heard) {
        const auto more = events_.next(event);
        if (!more) give_up(log::errno_text(more.error().value()));
        if (!more || !*more) break;
        if (hear(event)) others = true;
    }
    return others;
}

bool ChangeWatch::hear(const sys::FsEvents::Event& event) {
    TreeCounters& counters = tree_.counters();
    if (event.lost) {
        doubt("too much happened on the branches at once to hear of all");
        return true;
    }
    const bool own = event.pid == own_;
    (own ? counters.heard_own : counters.heard).fetch_add(1, std::memory_order_relaxed);
    if (!own && event.name_changed && event.dir.valid()) note_name(event);
    const bool written = event.only_written && !event.name_changed;
    if (!own && event.object_changed && event.object.valid()) {
        if (written) {
            note_written(event);
        } else {
            note_object(event, now_);
        }
    }
    if (event.name_changed && event.directory) places_.forget_paths();
    return !own && !written;
}

void ChangeWatch::note_name(const sys::FsEvents::Event& event) {
    if (event.directory && event.name_gone && event.object.valid()) note_gone_dir(event);
    const NodeRef dir = places_.find_dir(event.fs, event.dir);
    if (!dir) return;
    const NodeId id = LockedNode(*dir)->face.id;
    now_.emplace(id, event.name);
    now_.emplace(id, std::string());
    if (const auto hidden = marks::hidden_by(event.name); !hidden.empty()) now_.emplace(id, hidden);
}

// It can be found as long as we hold it open. One that lost its first part has its next one from now on, also for who
// stands in it and walks no path.
void ChangeWatch::note_gone_dir(const sys::FsEvents::Event& event) {
    const NodeRef node = places_.find_object(event.fs, event.object, false);
    if (!node) return;
    now_.emplace(LockedNode(*node)->face.id, std::string());
    if (const auto st = tree_.stat_object(node); !st) log::debug("coherence: {} is left alone", event.name);
}

// The object's node; 0 where nobody knows one.
NodeId ChangeWatch::note_object(const sys::FsEvents::Event& event, std::set<Item>& items) {
    NodeId id = 0;
    if (const NodeRef node = places_.find_object(event.fs, event.object, event.directory)) {
        id = LockedNode(*node)->face.id;
        items.emplace(id, std::string());
    }
    // Another copy may be the newest or the largest by now.
    const bool chosen = tree_.set().search() != config::Policy::ff;
    if (!chosen || event.directory || !event.dir.valid()) return id;
    if (const NodeRef dir = places_.find_dir(event.fs, event.dir)) items.emplace(LockedNode(*dir)->face.id, event.name);
    return id;
}

// By a user of ours or by others: that shows when it is known what our users closed.
void ChangeWatch::note_written(const sys::FsEvents::Event& event) {
    std::set<Item> items;
    const NodeId id = note_object(event, items);
    if (!items.empty()) written_[id].merge(items);
}

// A user's close is told shortly before or after the daemon hears of it.
void ChangeWatch::sort_written() {
    auto closed = tree_.own_closes().take();
    for (auto& [id, items] : written_) {
        if (!closed.contains(id) && !closed_before_.contains(id)) now_.merge(items);
    }
    written_.clear();
    closed_before_ = std::move(closed);
}

void ChangeWatch::tell_all() {
    sort_written();
    const std::set<Item> items = std::exchange(now_, {});
    for (const Item& item : items) tell(item, true);
}

// Looking a name up takes the lock that expiring it waits for, but asking again for one that is known takes none, and
// its answer may come after ours. An answer with attributes that were asked for before is not taken, but one that makes
// the kernel know an object is.
void ChangeWatch::hold(Clock::time_point latest) {
    MutexLock lock(mutex_);
    held_ = true;
    while (telling_ && Clock::now() < latest) rests_.wait_for(mutex_, 10ms);
}

void ChangeWatch::release() {
    MutexLock lock(mutex_);
    held_ = false;
    rests_.notify_all();
}

Status ChangeWatch::tell_kernel(const Item& item) {
    {
        MutexLock lock(mutex_);
        while (held_ && !stopping_.load()) rests_.wait(mutex_);
        telling_ = true;
    }
    const auto& [id, name] = item;
    Status told = name.empty() ? cache_->expire_object(id) : cache_->expire_name(id, name);
    MutexLock lock(mutex_);
    telling_ = false;
    rests_.notify_all();
    return told;
}

void ChangeWatch::tell(const Item& item, bool first) {
    const std::string& name = item.second;
    const Status told = tell_kernel(item);
    if (!is_told(told)) {
        if (told.failed_with(ENOSYS)) give_up("the kernel can not be told that a name changed (Linux 6.2)");
        return;
    }
    TreeCounters& counters = tree_.counters();
    if (told) counters.expired.fetch_add(1, std::memory_order_relaxed);
    const bool may_be_under_way = name.empty() ? !told : bool(told);
    if (!first || !may_be_under_way) return;
    if (line_.size() >= kMostAgain) return doubt("too much changed on the branches at once");
    const auto due = Clock::now() + kAgain;
    again_[item] = due;
    line_.emplace_back(due, item);
}

void ChangeWatch::tell_again() {
    const auto now = Clock::now();
    while (!line_.empty() && line_.front().first <= now) {
        const Item item = std::move(line_.front().second);
        line_.pop_front();
        const auto place = again_.find(item);
        if (place == again_.end() || place->second > now) continue;
        again_.erase(place);
        tell(item, false);
    }
}

}  // namespace plyfs

// The part of ChangeWatch that looks after the branches, and that knows what to do when something was missed.
#include <algorithm>

#include "base/log.h"
#include "node/change_watch.h"
#include "node/told_names.h"

namespace plyfs {
namespace {

using namespace std::chrono_literals;

// Between two times that everything is asked anew.
constexpr auto kMostOften = 10s;
constexpr auto kQuiet = 100ms;

}  // namespace

// False: why not all that are there are watched.
bool ChangeWatch::watch_branches(std::string& why) {
    bool all = true;
    seen_.clear();
    for (const auto& branch : tree_.set().all()) {
        Seen& seen = seen_.emplace_back();
        const auto st = branch->present() ? sys::stat_fd(branch->root()) : Errno(ENOENT);
        if (!st) continue;
        seen = {true, sys::key_of(*st)};
        const Status watched = branch->network() ? Errno(EREMOTE) : events_.watch(branch->root());
        if (watched) continue;
        all = false;
        why = branch->path() + ": " +
              (branch->network() ? "what other machines do there is not told" : refusal(watched.error()));
    }
    places_.learn_branches();
    return all;
}

// One that went or came shows other files under the same names.
void ChangeWatch::look_at_branches() {
    const auto now = Clock::now();
    if (now - looked_ < kLook) return;
    looked_ = now;
    bool same = true;
    for (const auto& branch : tree_.set().all()) {
        Seen is;
        const auto st = branch->present() ? sys::stat_fd(branch->root()) : Errno(ENOENT);
        if (st) is = {true, sys::key_of(*st)};
        if (is != seen_[static_cast<std::size_t>(branch->index())]) same = false;
    }
    if (same) return;
    std::string why;
    const bool watched = watch_branches(why);
    if (!watched && all_watched_) log::warn("coherence: timeouts are short from now on: {}", why);
    all_watched_ = watched;
    doubt("a branch went or came");
}

void ChangeWatch::doubt(std::string_view why) {
    if (!doubting_) log::info("coherence: {}; what the kernel remembers is asked anew", why);
    doubting_ = true;
    doubted_ = Clock::now();
    tree_.counters().doubts.fetch_add(1, std::memory_order_relaxed);
    settle_trust();
}

ChangeWatch::Clock::time_point ChangeWatch::end_of_doubt() const {
    const auto quiet = doubted_ + kQuiet;
    return forgotten_ == Clock::time_point{} ? quiet : std::max(quiet, forgotten_ + kMostOften);
}

void ChangeWatch::end_doubt() {
    const auto now = Clock::now();
    if (!doubting_ || now < end_of_doubt()) return;
    // What is answered from here on was found after what was missed.
    doubting_ = false;
    forgotten_ = now;
    forget_everything();
    settle_trust();
}

void ChangeWatch::forget_everything() {
    forget_nodes();
    const ToldNames* names = tree_.nodes().told();
    if (!names) return;
    // By daemons before this one.
    for (const auto& [id, place] : names->waiting()) {
        if (stopping_.load() || gave_up_) return;
        tell({id, {}}, false);
        tell({place.parent, place.name}, false);
    }
}

void ChangeWatch::forget_nodes() {
    std::uint64_t at = 0;
    for (auto nodes = tree_.nodes().some(at); !nodes.empty() && !stopping_.load() && !gave_up_;
         nodes = tree_.nodes().some(at)) {
        for (const NodeRef& node : nodes) {
            std::vector<Link> links;
            NodeId id;
            {
                LockedNode state(*node);
                if (!state->told && state->face.id != kRootId) continue;
                links = state->links;
                id = state->face.id;
            }
            tell({id, {}}, false);
            for (const Link& link : links) {
                const NodeId parent = LockedNode(*link.parent)->face.id;
                tell({parent, link.name}, false);
            }
        }
    }
}

void ChangeWatch::settle_trust() {
    const bool trusted = all_watched_ && !doubting_ && !gave_up_;
    if (trusted != trusted_) cache_->trust(trusted);
    trusted_ = trusted;
}

void ChangeWatch::give_up(std::string_view why) {
    log::warn("coherence: timeouts are short from now on: {}", why);
    gave_up_ = true;
    settle_trust();
}

}  // namespace plyfs

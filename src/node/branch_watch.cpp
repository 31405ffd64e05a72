#include "node/branch_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/insist.h"
#include "base/log.h"
#include "branch/probe.h"
#include "node/blocked_signals.h"
#include "sys/mount_marker.h"
#include "sys/mounted.h"
#include "sys/open.h"

namespace plyfs {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;
using Answers = Branch::Answers;

constexpr Seconds kInterval = 1s;
constexpr Seconds kShortest = 100ms;
// So long whoever is on a branch has to come back from it at the end.
constexpr auto kGrace = 2s;
constexpr Seconds kMindEvery = 250ms;
// On a network. Longer than a look takes that only found the processors busy.
constexpr Seconds kLate = 700ms;

}  // namespace

BranchWatch::BranchWatch(Tree& tree, const Terms& terms) : tree_(tree), terms_(terms) {
    for (const auto& branch : tree_.set().all()) {
        if (terms_.layers && !branch->network()) continue;
        auto post = std::make_unique<Post>();
        post->branch = static_cast<BranchIndex>(branch->index());
        if (branch->present()) {
            const auto st = sys::stat_path(branch->path().c_str());
            post->was_mount = st && sys::is_mount_root(*st);
        } else if (branch->was_mount_root()) {
            post->was_mount = true;
        } else {
            // One that does not answer is not to be asked; when it goes, what it was mounted on is not the branch.
            post->was_mount = sys::find_mounted(branch->path()).has_value();
        }
        posts_.push_back(std::move(post));
    }
    const BlockedSignals blocked;
    for (const auto& post : posts_) {
        post->thread = std::thread([this, &at = *post] {
            run(at);
            MutexLock lock(mutex_);
            at.ended = true;
            wake_.notify_all();
        });
    }
    if (!posts_.empty()) minder_ = std::thread([this] { mind(); });
}

BranchWatch::~BranchWatch() {
    stop();
    if (minder_.joinable()) minder_.join();
    for (const auto& post : posts_) post->thread.join();
}

bool BranchWatch::stop() {
    const auto end = std::chrono::steady_clock::now() + kGrace;
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    const auto all_ended = [&] {
        return std::all_of(posts_.begin(), posts_.end(), [](const auto& post) { return post->ended; });
    };
    while (!all_ended() && std::chrono::steady_clock::now() < end) wake_.wait_for(mutex_, kShortest);
    return all_ended();
}

// False: it is the end.
bool BranchWatch::rest(Seconds time) {
    MutexLock lock(mutex_);
    if (!stopping_) wake_.wait_for(mutex_, time);
    return !stopping_;
}

void BranchWatch::run(Post& post) {
    const bool reads = terms_.space_age > 0;
    const Seconds interval = reads ? std::clamp(Seconds(terms_.space_age), kShortest, kInterval) : kInterval;
    // One that answers again is looked at at once, to be taken in.
    do {
        while (look(post)) {
        }
    } while (rest(interval));
}

// True: it answers again.
bool BranchWatch::look(Post& post) {
    begin_look(post);
    if (terms_.layers) {
        (void)sys::stat_fs(tree_.set().at(post.branch).root());  // an error is an answer
    } else {
        look_at(post);
        refresh_space(post);
    }
    return end_look(post);
}

void BranchWatch::begin_look(Post& post) {
    MutexLock lock(mutex_);
    post.looking = true;
    post.took = Seconds::zero();
}

bool BranchWatch::end_look(Post& post) {
    const Branch& branch = tree_.set().at(post.branch);
    MutexLock lock(mutex_);
    post.looking = false;
    const bool hung = branch.hangs();
    if (branch.is_late()) tree_.set().note_answers(post.branch, Answers::promptly);
    if (hung) log::info("branch {}: answers again", branch.path());
    return hung && !stopping_;
}

void BranchWatch::take_away(BranchIndex branch, const std::string& why) {
    MutexLock lock(mutex_);
    const Branch& at = tree_.set().at(branch);
    if (!at.present()) return;
    log::warn("branch {}: {}; its files are not seen until it is back", at.path(), why);
    tree_.take_branch_away(branch);
}

void BranchWatch::give_up(BranchIndex branch) {
    MutexLock lock(mutex_);
    const Branch& at = tree_.set().at(branch);
    if (!at.hangs() || !at.present()) return;  // it has just answered, or is not missed
    const std::string_view what = terms_.layers ? "what is asked of it fails (ETIMEDOUT)" : "its files are not seen";
    log::warn("branch {}: has not answered for {:g} s; {} until it does", at.path(), terms_.timeout, what);
    if (!terms_.layers) tree_.take_branch_away(branch);
}

void BranchWatch::look_at(Post& post) {
    Branch& branch = tree_.set().at(post.branch);
    const auto st = insist([&] { return sys::stat_path(branch.path().c_str()); });
    if (!st && st.error().is_own_lack()) return;
    if (branch.present()) {
        const auto held = insist([&] { return sys::stat_fd(branch.root()); });
        if (!held && held.error().is_own_lack()) return;
        if (st && held && sys::key_of(*st) == sys::key_of(*held)) return;
        // It was taken away meanwhile, for not answering.
        if (branch.hangs()) return;
        take_away(post.branch,
                  fmt::format("gone ({})", st ? "something else is there now" : log::errno_text(st.error().value())));
    }
    if (!st || !sys::is_dir(*st)) return;
    auto root = sys::open_root(branch.path().c_str());
    if (!root) return;
    const auto marker = sys::find_mount_marker(*root);
    if (marker == sys::MountMarker::awaits_branch) return;
    if (marker == sys::MountMarker::none && post.was_mount && !sys::is_mount_root(*st)) return;
    post.was_mount = sys::is_mount_root(*st);
    // It hangs, and did before it was looked at.
    if (branch.hangs()) return;
    tree_.bring_branch_back(post.branch, std::move(*root));
    log::info("branch {}: there (again)", branch.path());
}

// Others than local file systems tell so whether they are there at all.
void BranchWatch::refresh_space(Post& post) {
    const Branch& branch = tree_.set().at(post.branch);
    if (!branch.present()) return;
    const auto now = std::chrono::steady_clock::now();
    const Seconds age(terms_.space_age);
    const bool due = age.count() > 0 && now - post.space_read >= age * 0.9;
    if (!due && branch.network()) (void)sys::stat_fs(branch.root());
    if (!due) return;
    post.space_read = now;
    branch.refresh_space();
}

// Counts only what it has seen pass: a machine that was asleep, or too busy to run this, is not a branch that hangs.
void BranchWatch::mind() {
    auto before = std::chrono::steady_clock::now();
    while (rest(kMindEvery)) {
        const auto now = std::chrono::steady_clock::now();
        const Seconds passed = std::min<Seconds>(now - before, 2 * kMindEvery);
        before = now;
        std::vector<BranchIndex> hang;
        {
            MutexLock lock(mutex_);
            for (const auto& post : posts_) {
                const bool hung = tree_.set().at(post->branch).hangs();
                mind(*post, passed);
                if (!hung && tree_.set().at(post->branch).hangs()) hang.push_back(post->branch);
            }
        }
        for (BranchIndex branch : hang) give_up(branch);
    }
}

void BranchWatch::mind(Post& post, Seconds passed) {
    const BranchSet& set = tree_.set();
    const Branch& branch = set.at(post.branch);
    if (!post.looking || branch.hangs()) return;
    post.took += passed;
    if (post.took >= kLate && branch.network() && !branch.is_late()) set.note_answers(post.branch, Answers::late);
    const bool over = terms_.timeout > 0 && post.took >= Seconds(terms_.timeout);
    if (over) set.note_answers(post.branch, Answers::not_at_all);
}

}  // namespace plyfs

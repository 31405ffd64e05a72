#include "node/branch_watch.h"

#include <algorithm>
#include <chrono>

#include "base/insist.h"
#include "base/log.h"
#include "node/blocked_signals.h"
#include "sys/mount_marker.h"
#include "sys/open.h"

namespace plyfs {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::duration<double> kInterval = 1s;
constexpr std::chrono::duration<double> kShortest = 100ms;

// Of the branch: what lacked was ours.
bool tells_nothing(Errno e) {
    return e == ENOMEM || e == EMFILE || e == ENFILE || e == EINTR || e == EAGAIN;
}

bool is_mount_root(const sys::Stat& st) {
    return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace

BranchWatch::BranchWatch(Tree& tree, double space_age) : tree_(tree), space_age_(space_age) {
    for (const auto& branch : tree_.set().all()) {
        const auto st = sys::stat_path(branch->path().c_str());
        was_mount_.push_back(branch->present() && st && is_mount_root(*st));
    }
    const BlockedSignals blocked;
    thread_ = std::thread([this] { run(); });
}

BranchWatch::~BranchWatch() {
    {
        MutexLock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void BranchWatch::run() {
    const auto interval = space_age_.count() > 0 ? std::clamp(space_age_, kShortest, kInterval) : kInterval;
    for (;;) {
        for (int i = 0; i < tree_.set().size(); ++i) look_at(static_cast<BranchIndex>(i));
        refresh_space();
        MutexLock lock(mutex_);
        if (!stopping_) wake_.wait_for(mutex_, interval);
        if (stopping_) return;
    }
}

void BranchWatch::look_at(BranchIndex index) {
    Branch& branch = tree_.set().at(index);
    const auto st = insist([&] { return sys::stat_path(branch.path().c_str()); });
    if (!st && tells_nothing(st.error())) return;
    if (branch.present()) {
        const auto held = insist([&] { return sys::stat_fd(branch.root()); });
        if (!held && tells_nothing(held.error())) return;
        if (st && held && sys::key_of(*st) == sys::key_of(*held)) return;
        log::warn("branch {}: gone ({}); its files are not seen until it is back", branch.path(),
                  st ? "something else is there now" : log::errno_text(st.error().value()));
        tree_.take_branch_away(index);
    }
    if (!st || !sys::is_dir(*st)) return;
    auto root = sys::open_root(branch.path().c_str());
    if (!root) return;
    const auto marker = sys::find_mount_marker(*root);
    if (marker == sys::MountMarker::awaits_branch) return;
    if (marker == sys::MountMarker::none && was_mount_[static_cast<std::size_t>(index)] && !is_mount_root(*st)) return;
    was_mount_[static_cast<std::size_t>(index)] = is_mount_root(*st);
    tree_.bring_branch_back(index, std::move(*root));
    log::info("branch {}: there (again)", branch.path());
}

void BranchWatch::refresh_space() {
    if (space_age_.count() <= 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - space_read_ < space_age_ * 0.9) return;
    space_read_ = now;
    for (const auto& branch : tree_.set().all()) {
        if (branch->present()) branch->refresh_space();
    }
}

}  // namespace plyfs

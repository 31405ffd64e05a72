#include "ops/failover.h"

#include <fcntl.h>

#include <algorithm>

#include "ops/open.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

bool is_true_copy(const sys::Stat& a, const sys::Stat& b) {
    return sys::is_regular(a) && sys::is_regular(b) && a.stx_size == b.stx_size &&
           a.stx_mtime.tv_sec == b.stx_mtime.tv_sec && a.stx_mtime.tv_nsec == b.stx_mtime.tv_nsec;
}

}  // namespace

Result<TrueCopy> find_true_copy(Context& ctx, const NodeRef& node, const sys::Stat& like,
                                const std::vector<BranchIndex>& but) {
    Link link;
    {
        LockedNode state(*node);
        if (state->links.empty()) return Errno(ENOENT);
        link = state->links[0];
    }
    const Name name = TRY(Name::parse(link.name));
    for (const Layer& layer : TRY(ctx.tree.layers_of(link.parent))) {
        TrueCopy copy;
        const auto entry = look_in(ctx.tree.set(), layer, name, Beside::yes, &copy.fd);
        // What this one hides is another file.
        if (entry && entry->kind == LayerEntry::Kind::whiteout) break;
        if (!entry || entry->kind == LayerEntry::Kind::nothing || !is_true_copy(entry->st, like)) continue;
        if (std::find(but.begin(), but.end(), layer.branch) != but.end()) continue;
        copy.branch = layer.branch;
        return copy;
    }
    return Errno(ENOENT);
}

bool reads_for_failover(Context& ctx, const NodeRef& node) {
    if (ctx.tree.pool().failover != config::ReadFailover::always || ctx.tree.set().size() == 1) return false;
    const auto st = ctx.tree.stat_object(node);
    const BranchIndex winner = LockedNode(*node)->winner;
    return st && find_true_copy(ctx, node, *st, {winner}).has_value();
}

Result<UniqueFd> FileHandle::open_copy(Context& ctx, const sys::Stat& like) {
    const BranchSet& set = ctx.tree.set();
    if (writes() || set.size() == 1 || ctx.tree.pool().failover == config::ReadFailover::off) return Errno(EIO);
    if (unreadable_.empty()) unreadable_.push_back(LockedNode(*node_)->winner);
    for (;;) {
        const auto copy = find_true_copy(ctx, node_, like, unreadable_);
        if (!copy) return Errno(EIO);
        set.at(unreadable_.front()).read_failed();
        unreadable_.push_back(copy->branch);
        auto fd = sys::reopen(copy->fd, O_RDONLY);
        if (!fd) continue;
        ctx.tree.counters().failovers.fetch_add(1, std::memory_order_relaxed);
        return fd;
    }
}

Result<SharedFd> FileHandle::fail_over(Context& ctx, const SharedFd& unread) {
    MutexLock lock(mutex_);
    // Another read may have been faster.
    if (auto fd = kept_.any(); fd && fd != unread) return fd;
    const auto st = TRY(sys::stat_fd(*unread));
    auto fd = std::make_shared<const UniqueFd>(TRY(open_copy(ctx, st)));
    keep(fd, node_->data_generation());
    return fd;
}

}  // namespace plyfs::ops

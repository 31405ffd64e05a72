// The part of Tree that takes a pool's branches away and brings them back.
#include <algorithm>

#include "base/log.h"
#include "branch/probe.h"
#include "node/inode_calc.h"
#include "node/tree.h"
#include "overlay/layer_names.h"
#include "overlay/moves_left.h"
#include "overlay/pool_workdir.h"
#include "sys/open.h"

namespace plyfs {

// The root is that of the first branch which is there; its inode number stays what it was.
void Tree::settle_root(LockedNode& root, BranchIndex leaving) {
    root->winner = 0;
    for (int i = set_->size() - 1; i >= 0; --i) {
        if (i != leaving && set_->at(i).present()) root->winner = static_cast<BranchIndex>(i);
    }
    // Without asking it: it may hang, and everybody wants the root.
    root->key = set_->at(root->winner).root_key();
    if (root->key == sys::FileKey()) return;
    if (root->shown_inode != 0) return;
    root->shown_inode = set_->shown_inode(root->key.dev, root->key.ino);
    const auto calc = pool().files.inodes;
    if (calc == config::InodeCalc::stable) return;
    root->shown_inode = calculate_inode(calc, true, "/", set_->at(root->winner).path(), root->key.ino);
}

void Tree::take_branch_away(BranchIndex branch) {
    Branch& at = set_->at(branch);
    {
        // Before it goes: the root can not be walked to anew, so it always has a winner (node/winner).
        LockedNode root(*root_);
        settle_root(root, branch);
    }
    at.take_away();
    // Before its directories are dropped: one that is opened meanwhile is not kept.
    PoolWork& pool = pool_workdirs_[static_cast<std::size_t>(branch)];
    pool.lost.fetch_add(1, std::memory_order_acq_rel);
    if (!sys::replace(*roots_[static_cast<std::size_t>(branch)], at.root())) log::debug("{} stays open", at.path());
    dirs_.drop(branch);
    names_means_->distrust();
    // Who stages something there may be about to use it; what it needs fails by itself.
    pool.work.store(nullptr, std::memory_order_release);
}

Errno Tree::not_found() const {
    if (!pool().lost_is_error) return Errno(ENOENT);
    const auto all = set_->all();
    const bool missing = std::any_of(all.begin(), all.end(), [](const auto& branch) { return !branch->present(); });
    return Errno(missing ? EIO : ENOENT);
}

void Tree::sweep_leftovers(BranchIndex returning) {
    if (workdir_ || set_->rules().fixed) return;
    const auto may_change = [&](BranchIndex branch) { return returning < 0 || branch == returning; };
    for (const auto& branch : set_->all()) {
        const auto index = static_cast<BranchIndex>(branch->index());
        const bool is_there = branch->present() || index == returning;
        if (!is_there || branch->is_late() || !branch->writable()) continue;
        const auto settle = [&](const WorkDir& work) {
            // It asks all branches, and the next mount will do.
            if (!set_->any_is_late()) settle_moves(*set_, index, work, may_change);
        };
        sweep_pool_workdirs(branch->root(), settle);
        // Ours may have been that of a killed one, and is locked.
        if (const WorkDir* own = pool_workdirs_[static_cast<std::size_t>(index)].work.load(std::memory_order_acquire))
            settle(*own);
    }
}

void Tree::bring_branch_back(BranchIndex branch, UniqueFd root) {
    Branch& at = set_->at(branch);
    const bool network = is_on_network(root);
    if (!at.bring_back(std::move(root), network)) return;
    if (!sys::replace(*roots_[static_cast<std::size_t>(branch)], at.root())) return;
    names_means_->distrust();
    sweep_leftovers(branch);
    at.appear();
    LockedNode state(*root_);
    settle_root(state);
}

}  // namespace plyfs

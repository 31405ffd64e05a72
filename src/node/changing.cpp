#include "node/changing.h"

#include "base/defer.h"

namespace plyfs {

Result<Changing> Changing::begin(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    Changing begun;
    const bool needed = tree.can_move_files() || tree.pool().files.link_cow;
    if (!needed || !node->is_regular()) return begun;
    LockedNode state(*node);
    while (state->moving) TRY(wait_for_copying(tree, state, request));
    ++state->changing;
    begun.tree_ = &tree;
    begun.node_ = node;
    return begun;
}

Changing::~Changing() {
    if (!tree_) return;
    bool awaited;
    {
        LockedNode state(*node_);
        awaited = --state->changing == 0 && state->moving;
    }
    if (awaited) tree_->copy_condition(*node_).notify_all();
}

Status keep_changes_out(Tree& tree, LockedNode& node, const CopyUpRequest& request) {
    if (!request.may_block) return Errno(EINPROGRESS);
    while (node->moving) TRY(wait_for_copying(tree, node, request));
    node->moving = true;
    Defer give_up([&] { node->moving = false; });
    while (node->changing > 0) TRY(wait_for_copying(tree, node, request));
    give_up.cancel();
    return {};
}

}  // namespace plyfs

#include "node/changing.h"

namespace plyfs {

Result<Changing> Changing::begin(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    Changing begun;
    if (!tree.can_move_files() || !node->is_regular()) return begun;
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

}  // namespace plyfs

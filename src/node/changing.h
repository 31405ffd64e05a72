// Changing: a request is changing a node's object, its bytes, attributes or names, by a descriptor it has found. A move
// to another branch (node/moving), or a name that parts from its file (node/link_cow), waits for
// those that are under way, and they wait for it: what is changed is never an object that was copied already. Only
// pools of several branches and link-cow need it; elsewhere it costs nothing.
//
// Not to be taken twice by one thread, and not across move_off_full(). Copy-ups do not wait for it.
#pragma once

#include <functional>
#include <optional>

#include "node/copy_up.h"

namespace plyfs {

class [[nodiscard]] Changing {
  public:
    // EINPROGRESS and EINTR as the request says (may_block, cancelled).
    static Result<Changing> begin(Tree& tree, const NodeRef& node, const CopyUpRequest& request);
    Changing(Changing&& other) noexcept : tree_(std::exchange(other.tree_, nullptr)), node_(std::move(other.node_)) {}
    Changing& operator=(Changing&&) = delete;
    ~Changing();

  private:
    Changing() = default;
    Tree* tree_ = nullptr;  // null: nothing to end
    NodeRef node_;
};

// For whoever puts another object in the place of the node's, under its lock: waits until nobody changes that, and
// keeps all others out from then on; ended by `moving` = false. EINPROGRESS and EINTR as the request says.
Status keep_changes_out(Tree& tree, LockedNode& node, const CopyUpRequest& request);

}  // namespace plyfs

#include <chrono>

#include "base/defer.h"
#include "base/log.h"
#include "node/move.h"
#include "node/moving.h"
#include "sys/lock.h"

namespace plyfs {
namespace {

// Who waits for the ends of opens: how long, and how often.
constexpr auto kReleasePoll = std::chrono::milliseconds(5);
constexpr int kMostLooks = 200;

// It would be parted from its other names, and from who writes to it, also to memory that is mapped.
Status may_part(const Located& object) {
    if (sys::Protection::of(object.st).any()) return Errno(EPERM);
    if (object.st.stx_nlink > 1) return Errno(EXDEV);
    return sys::is_regular(object.st) && TRY(sys::has_writers(object.fd)) ? Status(Errno(EXDEV)) : Status();
}

// Where nobody writes any more as the branch's file system sees it, what the kernel still has to tell us of is on its
// way.
Status await_writers(Tree& tree, const NodeRef& node, const CopyUpRequest& how) {
    for (int look = 0; look < kMostLooks; ++look) {
        if (LockedNode(*node)->writers == 0) return {};
        if (!how.may_block) return Errno(EINPROGRESS);
        TRY(may_part(TRY(tree.find_object(node))));
        LockedNode state(*node);
        if (state->writers > 0) state.wait_for(tree.copy_condition(*node), kReleasePoll);
    }
    return Errno(EXDEV);
}

Result<Moving> find_moving(Tree& tree, const NodeRef& node) {
    Moving moving{.node = node, .object = TRY(tree.find_object(node))};
    {
        LockedNode state(*node);
        if (state->writers > 0 || state->content_branch >= 0 || state->links.empty()) return Errno(EXDEV);
        moving.links = state->links;
    }
    TRY(may_part(moving.object));
    TRY(find_names(tree, moving));
    return moving;
}

}  // namespace

Status move_up(Tree& tree, const NodeRef& node, BranchIndex branch, const CopyUpRequest& how) {
    TRY(await_writers(tree, node, how));
    const auto is_there = [branch](LockedNode& state) { return state->winner == branch; };
    if (TRY(begin_move(tree, node, how, is_there)) == MoveTurn::nothing_to_do) return {};
    Defer end([&] { end_move(tree, node); });
    const Moving moving = TRY(find_moving(tree, node));
    const Status moved = move_to(tree, moving, branch, how.cancelled);
    if (moved.failed_with(ESTALE)) return Errno(EXDEV);  // somebody changed it on its branch
    TRY(moved);
    tree.counters().moves.fetch_add(1, std::memory_order_relaxed);
    const Branch& from = tree.set().at(moving.object.branch);
    log::debug("{} moved up from {} to {}", moving.links[0].name, from.path(), tree.set().at(branch).path());
    return {};
}

}  // namespace plyfs

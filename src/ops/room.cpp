#include "ops/room.h"

namespace plyfs::ops {

bool has_room_for_attributes(Context& ctx, const NodeRef& node) {
    constexpr std::uint64_t kMost = std::uint64_t{2} * 65536;  // the largest, and what goes with it
    const BranchIndex winner = LockedNode(*node)->winner;
    const Branch& branch = ctx.tree.set().at(winner);
    branch.refresh_space();
    return branch.space().available >= kMost;
}

}  // namespace plyfs::ops

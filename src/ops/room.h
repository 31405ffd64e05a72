// Room for what a file is about to hold: a change of its content that finds its branch full is made once more where
// the file has been moved to (node/move).
#pragma once

#include "node/changing.h"
#include "node/move.h"
#include "ops/context.h"
#include "sys/caller.h"

namespace plyfs::ops {

struct Growth {
    std::uint64_t end = 0;    // up to where the file will reach
    std::uint64_t bytes = 0;  // written or allocated for it
    // ENOSPC may as well mean that there is room for no more in the inode, wherever it lies.
    bool of_inode = false;
};

// Whether the node's branch has room for more than an attribute.
bool has_room_for_attributes(Context& ctx, const NodeRef& node);

// Runs change(), which gives a Result, while the file is not moved by others, and again after each move. It has to find
// its descriptor itself each time, and may have done some of its work before it failed. EINTR: the caller is killed.
template <typename Change>
auto with_room(Context& ctx, const Request& request, const NodeRef& node, const Growth& growth, Change change)
    -> decltype(change()) {
    // A write to a file is not interrupted by a signal that has a handler; timers would never let it end.
    const CopyUpRequest how{.may_block = request.may_block,
                            .cancelled = [tid = request.caller.pid] { return sys::is_being_killed(tid); }};
    for (int moves = 0;; ++moves) {
        std::uint32_t generation;
        Errno full(ENOSPC);
        {
            const auto turn = TRY(Changing::begin(ctx.tree, node, how));
            generation = node->data_generation();
            auto done = change();
            const bool can_move = ctx.tree.moves_files() && node->is_regular() && moves < ctx.tree.set().size();
            if (done || !says_full(done.error()) || !can_move) return done;
            if (growth.of_inode && done.failed_with(ENOSPC) && has_room_for_attributes(ctx, node)) return done;
            full = done.error();
        }
        TRY(move_off_full(ctx.tree, node, {full, generation, growth.end, growth.bytes}, how));
    }
}

}  // namespace plyfs::ops

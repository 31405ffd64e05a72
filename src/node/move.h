// Moving a file from one writable branch of the pool to another, by the steps of node/moving. Its ids and inode number
// stay.
#pragma once

#include <string>

#include "node/copy_up.h"

namespace plyfs {

struct MoveRequest {
    Errno full{ENOSPC};                 // what its branch said: ENOSPC or EDQUOT; the answer when it stays
    std::uint32_t data_generation = 0;  // of the node, when it was said
    std::uint64_t end = 0;              // up to where the file is about to reach
    std::uint64_t bytes = 0;            // about to be written or allocated
    // Not because it is full: `full` is what comes back when it stays, and `why` says for what reason. Objects of other
    // types than files move as well.
    std::string* why = nullptr;
    BranchIndex to = -1;  // with `why`; else one that the policy chooses
};

inline bool says_full(Errno e) {
    return e == ENOSPC || e == EDQUOT;
}

// What look() finds by going through the branches, and where it finds nothing again if a file was moved meanwhile: on
// each of them it may have looked at the wrong moment.
template <typename Look, typename IsNothing>
auto find_steadily(Tree& tree, Look look, IsNothing is_nothing) -> decltype(look()) {
    for (;;) {
        const auto before = tree.counters().relocations.load(std::memory_order_acquire);
        auto found = look();
        if (!is_nothing(found) || before == tree.counters().relocations.load(std::memory_order_acquire)) return found;
    }
}

// Off a branch that is full, while the file is open: everything that leads to the node goes on in the moved file.
// Success: the file is another one than it was, moved by us or by somebody who was faster; what failed may be tried
// again. EINPROGRESS and EINTR as `how` says. Not for who holds a Changing of the node.
//
// It stays where it is when not every byte and every opener could come along: while somebody has it in passthrough, has
// it mapped from such an open, or holds a lock on the branch's file; with names we do not know, with copies of its name
// on other branches that may be changed; immutable or append-only.
Status move_off_full(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how);
// The same where it is asked for. EAGAIN: somebody reads a directory of its so that he might miss it (Listings); the
// one that opens it next does not.
Status move_as_asked(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how);

// To a branch above its own, for a rename there; of any type but a directory. Readers in passthrough keep the file that
// they have, as beside a copy-up. EXDEV where that would part it from other names or from somebody who writes to it,
// here or on its branch; EPERM: immutable or append-only. EINPROGRESS and EINTR as `how` says.
Status move_up(Tree& tree, const NodeRef& node, BranchIndex branch, const CopyUpRequest& how);

}  // namespace plyfs

// The steps that every move of a file from one writable branch to another takes, whatever it is for (node/move): nobody
// changes it meanwhile, the copy is complete and durable under all names before it is taken away where it was, and it
// stays there if somebody changed it on its branch.
#pragma once

#include <functional>
#include <vector>

#include "node/copy_names.h"
#include "node/copy_up.h"

namespace plyfs {

// What moves, as it was found. Any type but a directory.
struct Moving {
    NodeRef node;
    Located object;
    std::vector<Link> links;
    CopyNames names;  // where it lies
};

enum class MoveTurn { nothing_to_do, ours };
// `ours`: from here on nobody changes the node or its names, nor gets it in passthrough, until end_move(). is_done, by
// the node's lock: nothing has to be moved any more. EINPROGRESS and EINTR as `how` says.
Result<MoveTurn> begin_move(Tree& tree, const NodeRef& node, const CopyUpRequest& how,
                            const std::function<bool(LockedNode&)>& is_done);
void end_move(Tree& tree, const NodeRef& node);

// Its names on its branch; ESTALE where one of them leads elsewhere by now.
Status find_names(Tree& tree, Moving& moving);
// Success: the node is the copy on `branch`, and what it was is gone. ESTALE: somebody changed it on its branch.
Status move_to(Tree& tree, const Moving& moving, BranchIndex branch, const std::function<bool()>& cancelled);

}  // namespace plyfs

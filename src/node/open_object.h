// The object of a file that is open but has lost its name on the branch, by another way than the mount. As long as it
// is open the node has it pinned; whoever comes by a path has to walk again, for what has the name by now.
#pragma once

#include "node/tree.h"

namespace plyfs {

// Pins the object of a node without names by a descriptor of those that have it open. False: nobody has.
bool pin_while_open(Tree& tree, const NodeRef& node);

// The last of them is gone; to be closed after the lock.
UniqueFd unpin_closed(LockedNode& node);

// ESTALE for a caller, named by pid, who opens or cuts such a file by a path. One who has no path to walk, but a link
// of /proc, comes back at once and is let in.
Status require_name(LockedNode& node, std::int32_t pid);

}  // namespace plyfs

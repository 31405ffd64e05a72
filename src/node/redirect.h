// Redirects: before an object with parts on branches that may not be modified gets another name, its copy on the
// writable branch is marked with the place where those parts lie.
#pragma once

#include "node/tree.h"

namespace plyfs {

// Whether the node has such parts: a merged directory, or a metacopy, whose content is below.
bool has_fixed_parts(Tree& tree, const NodeRef& node);

// Marks the node's winner, which is writable already, so that it is found with its parts under any name. Does nothing
// for a node without such parts, and may be done long before the rename, or without one following. EXDEV: redirects are
// not made here, or the path is longer than the file system can store; the caller copies.
Status make_findable(Tree& tree, const NodeRef& node);

}  // namespace plyfs

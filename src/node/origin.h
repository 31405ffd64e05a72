// What the marks of a copied-up object mean for its node: which inode number it shows, and which names are names of
// one file (overlay/origins.h, overlay/index.h).
#pragma once

#include "node/tree.h"

namespace plyfs {

// The upper directory of a mount that has origins.
inline constexpr BranchIndex kUpperBranch = 0;

// Completes what find_winner found in `parent`: the original of a copy, and for a name that lies below the copy that
// the index has. Asks nothing of directories, of what the kernel knows already, and where no copy can be.
Status follow_origin(Tree& tree, const NodeRef& parent, const Layers& layers, const Name& name, Resolved& found);

// The number that a listing has to show for an entry of the upper directory that is not in need of a node; `own` is its
// own.
Result<std::uint64_t> listed_inode(Tree& tree, const NodeRef& parent, const Layers& layers, const Name& name,
                                   const sys::FileKey& own);

// Whether the directory's upper part says that it holds copies. One system call, once.
Result<bool> is_impure(Tree& tree, const NodeRef& dir);
// Before a copy comes to the directory, which exists on the upper branch.
Status make_impure(Tree& tree, const NodeRef& dir);

// Of an indexed node, under its lock: names below became fewer.
void keep_hidden_links(Tree& tree, LockedNode& node);
// A name of an indexed node has gone: with the last one the index forgets it, and the node is pinned.
void end_index_if_last(Tree& tree, LockedNode& node);

// Adds the names of an indexed file that are known to lie below only to the upper branch: a change of the file is one
// of all of them, also for who reads the upper directory alone. As far as that can be done.
void add_names_below(Tree& tree, const NodeRef& node);

}  // namespace plyfs

// link-cow: names of one file part when one of them is written to. The kernel opens a node and not a name, so with this
// option each name of a file with several is a node of its own.
#pragma once

#include "node/copy_up.h"

namespace plyfs {

// Whether a file found on a branch is one whose names are kept apart.
bool keeps_names_apart(const Tree& tree, const sys::Stat& st, BranchIndex branch);
// What leads to the node of one name, beside the key of the file, which leads to none of them.
sys::FileKey key_of_name(const sys::FileKey& file, const Node& parent, std::string_view name);

// Puts a copy in place of the node's name if its file has others, in one rename; who has the old file open goes on with
// it. keep_bytes as in a copy-up. EINPROGRESS as in one; ESTALE for a node that has several names, from the time when
// it had one: a walk leads to the name's own.
Status part_name(Tree& tree, const NodeRef& node, const CopyUpRequest& request);

}  // namespace plyfs

// What the kernel asks when somebody comes with a file handle (export-support): for a node by nothing but its id, which
// it may have forgotten.
#pragma once

#include "node/lasting_ids.h"
#include "ops/lookup.h"

namespace plyfs::ops {

// The node itself, or the parent of a directory. ESTALE where that is not known any more.
Result<Entry> lookup_by_id(Context& ctx, NodeId id, bool parent);

// The object of a lasting id (node/lasting_ids) that no node has; ESTALE where there is none. Counts a lookup.
Result<Entry> find_by_lasting_id(Context& ctx, NodeId id);

// What is to become the id of a node that was found under a name; none if it has told one already, without handles, or
// where they do not outlast the mount.
std::optional<LastingIds::Identity> identity_of(Context& ctx, const NodeRef& node, const Layers& layers,
                                                const Name& name, const Resolved& found);
// Under the node's lock, when what was found is its winner.
void take_identity(Context& ctx, LockedNode& node, const LastingIds::Identity& identity);

}  // namespace plyfs::ops

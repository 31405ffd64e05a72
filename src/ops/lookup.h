// Names to nodes, and nodes to what stat shows.
#pragma once

#include "ops/context.h"

namespace plyfs::ops {

// The node behind an id. ESTALE for one that is not known.
Result<NodeRef> node_of(Context& ctx, NodeId id);

Result<Entry> lookup(Context& ctx, NodeId parent, const Name& name);
// As lookup, for what a listing or a creation found already.
Result<Entry> enter(Context& ctx, const NodeRef& parent, const Layers& layers, const Name& name,
                    const Resolved& resolved);
void forget(Context& ctx, NodeId id, std::uint64_t count);

// The answer for a node that is not under a name (O_TMPFILE) or already known; counts a lookup.
Result<Entry> entry_of(Context& ctx, const NodeRef& node);
Result<Attr> getattr(Context& ctx, NodeId id);
// Of a symbolic link; of a file shown as one (symlinkify) its path on the branch.
Result<std::string> target_of(Context& ctx, const NodeRef& node);
// What to show of a node whose winner has this stat.
Attr show(Context& ctx, LockedNode& node, NodeId id, const sys::Stat& st);

}  // namespace plyfs::ops

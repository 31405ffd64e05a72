// Nodes of an earlier process (node/told_names): what the kernel knows by an id that this one has not given out. All of
// it does nothing in a mount that nobody supervises.
#pragma once

#include "node/told_names.h"
#include "ops/lookup.h"

namespace plyfs::ops {

// The place of a name, by the parent's id; `names` null: nobody keeps it.
struct Above {
    ToldNames* names = nullptr;
    NodeId parent = 0;
    std::string_view name;
};
Above above_of(Context& ctx, const NodeRef& parent, const Name& name);

// The kernel was told, or a name has changed.
void note_told(Context& ctx, const NodeRef& node, const Above& above);
// All that the kernel knows by now, for a process that is to follow this one, of which nobody knew.
void tell_all(Context& ctx, ToldNames& names);
// A name of it is gone, by which it may have been written down: another one is from now on, if it has one.
void note_name_lost(Context& ctx, const NodeRef& node);
// Of a node that nobody was told of: the id that it had, under the node's lock. One lookup is counted for what the
// kernel was told by then; FORGET gives back all.
void take_earlier_id(Context& ctx, LockedNode& node, const Above& above);

// The node of an id that no node has: looked up by the name that it had, or by the id itself where that can be. ESTALE,
// at which the kernel walks again: it is not there any more.
Result<NodeRef> revive(Context& ctx, NodeId id);

// Before a name changes: who has it gets its id back, which could not be found by that name later.
void revive_named(Context& ctx, NodeId parent, const Name& name);

}  // namespace plyfs::ops

// The parts of a directory whose branches others may change: finding out which there are by now.
#pragma once

#include "ops/context.h"

namespace plyfs::ops {

// Under the lock of a directory that has other parts than its node knew, `layers` being those of its parent: looks
// again, for there may be more since, and the node has what is found. redirected: who comes by a redirect.
Status renew_parts(Context& ctx, LockedNode& dir, const Layers& layers, const Name& name, bool redirected);

// For a node whose parts have just been found.
PartsKnown parts_known_now(const Context& ctx);

// Whether the directory of the node is still the one that was found at its place: it has a part that the node had.
bool has_its_part(LockedNode& dir, const Resolved& found);

// Before names are looked for in a directory that may be in use for long without being looked up itself: gives the node
// parts that others made on further branches. Where the names in its parent are known (overlay/dir_watch) that is at
// once and costs nothing while no directory is made, elsewhere it is by the time for which the kernel believes a name.
// Only as far as was heard (DirWatch::catch_up). True: it has got some.
bool hear_of_parts(Context& ctx, const NodeRef& dir);

}  // namespace plyfs::ops

// Hard links; and the symbolic links that take the place of a name where a pool can not give it (EXDEV), by the options
// link-exdev and rename-exdev.
#pragma once

#include "ops/remove.h"

namespace plyfs::ops {

// EXDEV where the name would not be seen beside the object, or not lie where the create policy keeps it. With a
// symbolic link instead the answer is still the object, as the kernel expects, for no time.
Result<Entry> link(Context& ctx, const Request& request, NodeId id, NodeId new_parent, const Name& name);

// What a rename does that is EXDEV: the object moves to a directory of its own in the root of its branch, and a
// symbolic link that leads there takes the new name. EXDEV without the option, where something has the new name, and
// where the object can not move at all.
Status move_behind_link(Context& ctx, const Request& request, const Place& from, const Place& to);

// The root's directory of those objects; below it their paths are those of before.
inline constexpr const char* kMovedDir = ".plyfs_rename_exdev";

}  // namespace plyfs::ops

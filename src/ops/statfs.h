// The space of the union: what df(1) shows.
#pragma once

#include <sys/statvfs.h>

#include "ops/context.h"

namespace plyfs::ops {

// The sum over distinct file systems. Of a layered mount that of its upper; of a pool by its options statfs and
// statfs-ignore, and unless told otherwise of the branches that may be modified, without any of all.
Result<struct statvfs> statfs(Context& ctx, NodeId id);

}  // namespace plyfs::ops

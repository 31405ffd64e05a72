// What tells the directory on which a disk is to be mounted from the disk itself: extended attributes or files that the
// administrator puts in their roots, with mergerfs' names.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// branch: the disk is there (user.mergerfs.branch, .mergerfs.branch). awaits_branch: it is to be mounted here
// (user.mergerfs.branch_mounts_here, .mergerfs.branch_mounts_here). In this order; an attribute before a file.
enum class MountMarker { none, branch, awaits_branch };
MountMarker find_mount_marker(BorrowedFd dir);

}  // namespace plyfs::sys

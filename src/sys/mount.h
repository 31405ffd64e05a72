// Private clones of a branch's mount: what keeps a lower branch from being modified even by a mistake of ours.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// A detached, recursive clone of the tree at dir, set read-only and noatime; gone when the descriptor is closed. EPERM
// without CAP_SYS_ADMIN in the mount's user namespace.
Result<UniqueFd> clone_read_only(BorrowedFd dir);

}  // namespace plyfs::sys

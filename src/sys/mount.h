// Private clones of a branch's mount: what keeps a lower branch from being modified even by a mistake of ours, and
// nobody who unmounts it waiting for us.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Whether what is mounted below the directory is cloned as well.
enum class Submounts { with, without };

// A detached clone of the mount at dir, set read-only, noatime and private, so that no later mount reaches it; gone
// when the descriptor is closed. EPERM without CAP_SYS_ADMIN in the mount's user namespace.
Result<UniqueFd> clone_read_only(BorrowedFd dir, Submounts submounts);

enum class AccessTimes { as_mounted, none };

// The same as it is, but perhaps noatime, without what is mounted below the directory. EINVAL where that has to stay
// mounted, as what a user namespace has inherited.
Result<UniqueFd> clone_mount(BorrowedFd dir, AccessTimes access_times);

// Gives what is mounted there these flags of mount(2) instead of those it has, and its file system those of them that
// are its own; how access times are kept stays where none of them says it. EBUSY: read-only, with files open for
// writing.
Status remount(const std::string& path, unsigned long flags);

// Whether what is mounted there is noatime.
Result<bool> is_noatime(const std::string& path);

}  // namespace plyfs::sys

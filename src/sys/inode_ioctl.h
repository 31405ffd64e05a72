// The inode flag ioctls (chattr, lsattr, xfs_io, project ids) with typed arguments, on a real descriptor:
// EBADF for an O_PATH one, ENOTTY or ENOTSUP where the file system has none. Only for regular files and
// directories: on a device the number would reach its driver. Setting needs the owner's fsuid or CAP_FOWNER,
// and CAP_LINUX_IMMUTABLE for immutable and append-only, of the calling thread.
#pragma once

#include <linux/fs.h>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

Result<unsigned> ioctl_get_flags(BorrowedFd fd);  // FS_*_FL
Status ioctl_set_flags(BorrowedFd fd, unsigned flags);
Result<struct fsxattr> ioctl_get_fsxattr(BorrowedFd fd);  // FS_XFLAG_*, extent hints, project id
Status ioctl_set_fsxattr(BorrowedFd fd, const struct fsxattr& attr);

}  // namespace plyfs::sys

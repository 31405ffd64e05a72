#include "sys/inode_ioctl.h"

#include <sys/ioctl.h>

namespace plyfs::sys {

// The numbers of GETFLAGS and SETFLAGS say "long", but every kernel reads and writes an int.

Result<unsigned> ioctl_get_flags(BorrowedFd fd) {
    int flags = 0;
    if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) < 0) return Errno::last();
    return static_cast<unsigned>(flags);
}

Status ioctl_set_flags(BorrowedFd fd, unsigned flags) {
    int value = static_cast<int>(flags);
    if (::ioctl(fd.get(), FS_IOC_SETFLAGS, &value) < 0) return Errno::last();
    return {};
}

Result<struct fsxattr> ioctl_get_fsxattr(BorrowedFd fd) {
    struct fsxattr attr = {};
    if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attr) < 0) return Errno::last();
    return attr;
}

Status ioctl_set_fsxattr(BorrowedFd fd, const struct fsxattr& attr) {
    if (::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attr) < 0) return Errno::last();
    return {};
}

}  // namespace plyfs::sys

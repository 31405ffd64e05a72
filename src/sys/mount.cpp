#include "sys/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace plyfs::sys {

Result<UniqueFd> clone_read_only(BorrowedFd dir) {
    constexpr unsigned kFlags = OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    long fd = ::syscall(SYS_open_tree, dir.get(), "", kFlags);
    if (fd < 0) return Errno::last();
    UniqueFd tree(static_cast<int>(fd));
    struct mount_attr attr = {};
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
    attr.attr_clr = MOUNT_ATTR__ATIME;  // the atime mode is a field of several bits: cleared, then set
    if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) {
        return Errno::last();
    }
    return tree;
}

}  // namespace plyfs::sys

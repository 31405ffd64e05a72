#include "sys/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace plyfs::sys {

Result<UniqueFd> clone_read_only(BorrowedFd dir, Submounts submounts) {
    const unsigned recursive = submounts == Submounts::with ? AT_RECURSIVE : 0;
    const long fd = ::syscall(SYS_open_tree, dir.get(), "", OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | recursive);
    if (fd < 0) return Errno::last();
    UniqueFd tree(static_cast<int>(fd));
    struct mount_attr attr = {};
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
    attr.attr_clr = MOUNT_ATTR__ATIME;  // the atime mode is a field of several bits: cleared, then set
    attr.propagation = MS_PRIVATE;
    if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) != 0) {
        return Errno::last();
    }
    return tree;
}

}  // namespace plyfs::sys

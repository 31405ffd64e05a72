#include "sys/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace plyfs::sys {

namespace {

Result<UniqueFd> clone(BorrowedFd dir, unsigned recursive, struct mount_attr attr) {
    const long fd = ::syscall(SYS_open_tree, dir.get(), "", OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | recursive);
    if (fd < 0) return Errno::last();
    UniqueFd tree(static_cast<int>(fd));
    attr.propagation = MS_PRIVATE;
    if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) != 0) {
        return Errno::last();
    }
    return tree;
}

struct mount_attr without_access_times() {
    struct mount_attr attr = {};
    attr.attr_set = MOUNT_ATTR_NOATIME;
    attr.attr_clr = MOUNT_ATTR__ATIME;  // the atime mode is a field of several bits: cleared, then set
    return attr;
}

}  // namespace

Result<UniqueFd> clone_read_only(BorrowedFd dir, Submounts submounts) {
    struct mount_attr attr = without_access_times();
    attr.attr_set |= MOUNT_ATTR_RDONLY;
    return clone(dir, submounts == Submounts::with ? AT_RECURSIVE : 0, attr);
}

Result<UniqueFd> clone_mount(BorrowedFd dir, AccessTimes access_times) {
    return clone(dir, 0, access_times == AccessTimes::none ? without_access_times() : mount_attr{});
}

Result<bool> is_noatime(const std::string& path) {
    struct statvfs facts;
    if (::statvfs(path.c_str(), &facts) != 0) return Errno::last();
    return (facts.f_flag & ST_NOATIME) != 0;
}

Status remount(const std::string& path, unsigned long flags) {
    if (::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | flags, nullptr) != 0) return Errno::last();
    return {};
}

}  // namespace plyfs::sys

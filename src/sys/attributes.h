// What copy-up carries beside the data: owner, mode with suid, sgid and sticky, extended attributes with ACLs
// and file capabilities, inode flags and times; of regular files, directories, symlinks, fifos, sockets and
// devices. All descriptors may be O_PATH. Call with the daemon's own credentials (CAP_CHOWN, CAP_FSETID,
// CAP_SETFCAP, CAP_SYS_ADMIN), not inside an ActAs guard.
#pragma once

#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <ctime>
#include <functional>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

enum class XattrRule {
    carry,          // must arrive: a target that has no attributes of this class fails the copy (ENOTSUP)
    carry_if_able,  // left behind when the target says ENOTSUP
    skip,           // not carried (the overlay's own attributes)
};
using XattrFilter = std::function<XattrRule(std::string_view name)>;

// What a new object may have got from the directory that it was made in, beside what it was made with.
struct Inherited {
    bool acls = true;
    bool flags = true;
};
// What objects made in a directory, by a real descriptor, get from it. ENOTTY and the like of a file system: nothing.
Inherited find_inherited(BorrowedFd dir);

// Gives `to` everything of `from` except data, device number and birth time. `st` is the statx of `from`
// (STATX_BASIC_STATS). The order is owner, xattrs, mode, inode flags, times: each step undoes what it must
// not see afterwards. ACLs that `to` inherited and `from` does not have are removed. Immutable and
// append-only are not set: see set_protection_flags. Inode flags that the target's file system does not know
// are left behind.
Status copy_metadata(BorrowedFd from, BorrowedFd to, const struct statx& st, const XattrFilter& filter,
                     const Inherited& inherited = {});

// The xattr step alone; an attribute that vanishes meanwhile is no error.
Status copy_xattrs(BorrowedFd from, BorrowedFd to, const XattrFilter& filter, const Inherited& inherited = {});

// FS_IOC_GETFLAGS of a regular file or directory, also of an O_PATH descriptor (which is reopened for
// reading); ENOTTY or ENOTSUP where the file system has none. Never call it for other kinds: a device driver
// would answer.
Result<unsigned> get_inode_flags(BorrowedFd fd);
Status set_inode_flags(BorrowedFd fd, unsigned flags);
// Adds those of FS_IMMUTABLE_FL and FS_APPEND_FL that are in `flags` (as of get_inode_flags of the source);
// no call if there are none. The last thing to do to a new object, after the rename or link that publishes
// it: both forbid renaming and linking.
Status set_protection_flags(BorrowedFd to, unsigned flags);

// One attribute each, by descriptor (O_PATH too), for the object itself also when it is a symlink.
Status set_owner(BorrowedFd fd, uid_t uid, gid_t gid);  // uid or gid -1: unchanged
// `mode`: permission bits with suid, sgid, sticky (others are ignored). EOPNOTSUPP for a symlink.
Status set_mode(BorrowedFd fd, mode_t mode);
Status set_times(BorrowedFd fd, const timespec& atime,
                 const timespec& mtime);  // UTIME_NOW, UTIME_OMIT allowed

}  // namespace plyfs::sys

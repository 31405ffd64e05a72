#include "sys/attributes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sys/call_numbers.h"
#include "sys/inode_ioctl.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::sys {
namespace {

// What a user sets and expects to find again. Not: flags that describe how one file system stores the file
// (extents, encryption, verity, copy-on-write, case folding), and project inheritance, whose project id is
// not ours to carry.
constexpr unsigned kCarriedFlags = FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL;
constexpr unsigned kProtectionFlags = FS_IMMUTABLE_FL | FS_APPEND_FL;
constexpr mode_t kModeBits = 07777;

bool has_no_flags(Errno e) {
    return e == ENOTTY || e == EOPNOTSUPP || e == EINVAL;
}
bool has_flags(mode_t mode) {
    return S_ISREG(mode) || S_ISDIR(mode);
}

// The ioctls want a real descriptor.
template <typename Call>
auto with_real_fd(BorrowedFd fd, Call call) -> decltype(call(fd)) {
    auto result = call(fd);
    if (!result.failed_with(EBADF)) return result;
    UniqueFd real = TRY(reopen(fd, O_RDONLY));
    return call(real);
}

Status copy_xattr(BorrowedFd from, BorrowedFd to, const std::string& name, XattrRule rule) {
    auto value = get_xattr_all(from, name.c_str());
    if (value.failed_with(ENODATA)) return {};
    if (!value) return value.error();
    auto set = set_xattr(to, name.c_str(), *value);
    if (set.failed_with(ENOTSUP) && rule == XattrRule::carry_if_able) return {};
    return set;
}

// A directory's default ACL, where the target was made, is no property of the source.
Status remove_inherited_acls(BorrowedFd to, const std::vector<std::string>& wanted) {
    for (const std::string& name : TRY(list_xattr(to))) {
        if (!name.starts_with("system.posix_acl_")) continue;
        if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) continue;
        auto removed = remove_xattr(to, name.c_str());
        if (!removed && !removed.failed_with(ENODATA)) return removed;
    }
    return {};
}

Status copy_inode_flags(BorrowedFd from, BorrowedFd to, const Inherited& inherited) {
    auto theirs = get_inode_flags(from);
    if (!theirs) return has_no_flags(theirs.error()) ? Status() : theirs.error();
    if (!inherited.flags && (*theirs & kCarriedFlags) == 0) return {};
    auto ours = get_inode_flags(to);
    if (!ours) return has_no_flags(ours.error()) ? Status() : ours.error();
    const unsigned wanted = (*ours & ~kCarriedFlags) | (*theirs & kCarriedFlags);
    if (wanted == *ours) return {};
    auto set = set_inode_flags(to, wanted);
    if (!set && has_no_flags(set.error())) return {};
    return set;
}

timespec to_timespec(const struct statx_timestamp& t) {
    return {.tv_sec = static_cast<time_t>(t.tv_sec), .tv_nsec = static_cast<long>(t.tv_nsec)};
}

}  // namespace

Status set_owner(BorrowedFd fd, uid_t uid, gid_t gid) {
    if (::fchownat(fd.get(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return Errno::last();
    return {};
}

Status set_mode(BorrowedFd fd, mode_t mode) {
    mode &= kModeBits;
    if (::syscall(kFchmodat2, fd.get(), "", mode, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0) return {};
    if (errno != ENOSYS && errno != EPERM) return Errno::last();  // EPERM: also a sandbox that does not know the call
    if (::fchmod(fd.get(), mode) == 0) return {};
    if (errno != EBADF) return Errno::last();
    if (::chmod(ProcPath(fd).c_str(), mode) != 0) return Errno(errno == ENOENT ? EBADF : errno);
    return {};
}

Status set_times(BorrowedFd fd, const timespec& atime, const timespec& mtime) {
    const timespec both[2] = {atime, mtime};
    if (::utimensat(fd.get(), "", both, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0) return {};
    if (errno != EINVAL) return Errno::last();
    // AT_EMPTY_PATH came here with Linux 5.8.
    if (::utimensat(AT_FDCWD, ProcPath(fd).c_str(), both, 0) != 0) return Errno(errno == ENOENT ? EBADF : errno);
    return {};
}

Status copy_xattrs(BorrowedFd from, BorrowedFd to, const XattrFilter& filter, const Inherited& inherited) {
    std::vector<std::string> carried;
    for (std::string& name : TRY(list_xattr(from))) {
        const XattrRule rule = filter(name);
        if (rule == XattrRule::skip) continue;
        TRY(copy_xattr(from, to, name, rule));
        carried.push_back(std::move(name));
    }
    return inherited.acls ? remove_inherited_acls(to, carried) : Status();
}

Inherited find_inherited(BorrowedFd dir) {
    Inherited out;
    const auto acl = get_xattr(dir, "system.posix_acl_default", {});
    out.acls = !acl.failed_with(ENODATA) && !acl.failed_with(EOPNOTSUPP);
    const auto flags = get_inode_flags(dir);
    out.flags = flags ? (*flags & kCarriedFlags) != 0 : !has_no_flags(flags.error());
    return out;
}

Result<unsigned> get_inode_flags(BorrowedFd fd) {
    return with_real_fd(fd, ioctl_get_flags);
}

Status set_inode_flags(BorrowedFd fd, unsigned flags) {
    return with_real_fd(fd, [&](BorrowedFd real) { return ioctl_set_flags(real, flags); });
}

Status set_protection_flags(BorrowedFd to, unsigned flags) {
    flags &= kProtectionFlags;
    if (flags == 0) return {};
    const unsigned now = TRY(get_inode_flags(to));
    return (now | flags) == now ? Status() : set_inode_flags(to, now | flags);
}

Status copy_metadata(BorrowedFd from, BorrowedFd to, const struct statx& st, const XattrFilter& filter,
                     const Inherited& inherited) {
    // A change of owner removes suid, sgid and security.capability: first.
    TRY(set_owner(to, st.stx_uid, st.stx_gid));
    TRY(copy_xattrs(from, to, filter, inherited));
    // After the ACLs: setting one changes the group bits, and chmod to the source's mode leaves the ACL as it
    // is.
    if (!S_ISLNK(st.stx_mode)) TRY(set_mode(to, st.stx_mode));
    if (has_flags(st.stx_mode)) TRY(copy_inode_flags(from, to, inherited));
    return set_times(to, to_timespec(st.stx_atime), to_timespec(st.stx_mtime));
}

}  // namespace plyfs::sys

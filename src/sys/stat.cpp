#include "sys/stat.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sys/inode_ioctl.h"

namespace plyfs::sys {
namespace {

constexpr unsigned kMask = STATX_BASIC_STATS | STATX_BTIME;

Result<Stat> stat_raw(int fd, const char* name, int flags) {
    Stat st;
    for (;;) {
        if (::statx(fd, name, flags | AT_NO_AUTOMOUNT, kMask, &st) == 0) return st;
        if (errno != EINTR) return Errno::last();
    }
}

// The mode of a directory of which the other is a part.
std::uint16_t narrowed(const Stat& whole, const Stat& part) {
    unsigned allowed = S_IFMT | 07000U | (part.stx_mode & 0777U);
    if (whole.stx_uid != part.stx_uid) allowed |= S_IRWXU;
    if (whole.stx_gid != part.stx_gid) allowed |= S_IRWXG;
    // Where names are for their owners alone to take away in one place, they are in all.
    return static_cast<std::uint16_t>((whole.stx_mode & allowed) | (part.stx_mode & S_ISVTX));
}

}  // namespace

Result<Stat> stat_at(BorrowedFd dir, const Name& name) {
    return stat_raw(dir.get(), name.c_str(), AT_SYMLINK_NOFOLLOW);
}

Result<Stat> stat_fd(BorrowedFd fd) {
    return stat_raw(fd.get(), "", AT_EMPTY_PATH);
}

Result<Stat> stat_path(const char* path) {
    return stat_raw(AT_FDCWD, path, 0);
}

std::uint64_t device_of(const Stat& st) {
    return makedev(st.stx_dev_major, st.stx_dev_minor);
}

FileKey key_of(const Stat& st) {
    FileKey key;
    key.dev = device_of(st);
    key.ino = st.stx_ino;
    if (st.stx_mask & STATX_BTIME) {
        key.birth = static_cast<std::uint32_t>(st.stx_btime.tv_sec) * 2654435761U ^ st.stx_btime.tv_nsec;
    }
    key.type = st.stx_mode & S_IFMT;
    return key;
}

void add_directory(Stat& into, const Stat& other) {
    auto later = [](const statx_timestamp& a, const statx_timestamp& b) {
        return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
    };
    if (later(other.stx_mtime, into.stx_mtime)) into.stx_mtime = other.stx_mtime;
    if (later(other.stx_ctime, into.stx_ctime)) into.stx_ctime = other.stx_ctime;
    into.stx_mode = narrowed(into, other);
    // Below two the file system does not count subdirectories, and says so by it.
    into.stx_nlink = into.stx_nlink < 2 || other.stx_nlink < 2 ? 1 : into.stx_nlink + other.stx_nlink - 2;
}

Result<struct statvfs> stat_fs(BorrowedFd fd) {
    struct statvfs out;
    if (::fstatvfs(fd.get(), &out) != 0) return Errno::last();
    return out;
}

bool is_read_only(BorrowedFd dir) {
    return ::faccessat(dir.get(), "", W_OK, AT_EMPTY_PATH | AT_EACCESS) != 0 && errno == EROFS;
}

Result<std::uint64_t> fs_type(BorrowedFd fd) {
    struct statfs out;
    if (::fstatfs(fd.get(), &out) != 0) return Errno::last();
    return static_cast<std::uint64_t>(out.f_type);
}

Result<std::uint64_t> fs_id(BorrowedFd fd) {
    struct statfs out;
    if (::fstatfs(fd.get(), &out) != 0) return Errno::last();
    std::uint64_t id;
    static_assert(sizeof out.f_fsid == sizeof id);
    std::memcpy(&id, &out.f_fsid, sizeof id);
    return id;
}

Result<bool> compares_bytes(BorrowedFd dir) {
    constexpr std::uint64_t kSquashfs = 0x73717368;
    constexpr std::uint64_t kErofs = 0xe0f5e1e2;
    constexpr std::uint64_t kXfs = 0x58465342;
    constexpr std::uint64_t kF2fs = 0xf2f52010;
    switch (TRY(fs_type(dir)) & 0xffffffff) {
        case kSquashfs:
        case kErofs:
        case kXfs:
        case BTRFS_SUPER_MAGIC:
            return true;
        case EXT4_SUPER_MAGIC:
        case TMPFS_MAGIC:
        case kF2fs:
            break;
        default:
            return false;
    }
    const auto flags = ioctl_get_flags(dir);
    // A tmpfs without flags has no folding either.
    if (flags.failed_with(ENOTTY)) return true;
    return (TRY(flags) & (FS_CASEFOLD_FL | FS_ENCRYPT_FL)) == 0;
}

}  // namespace plyfs::sys

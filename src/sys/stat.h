// statx(2) on objects of a branch, never following a symlink in the last component, and what an object is recognised
// by.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"

namespace plyfs::sys {

// What tells two objects below the branches apart. Inode numbers are used again after a deletion, so the birth time
// (0 where the file system keeps none) and the type belong to it.
struct FileKey {
    std::uint64_t dev = 0;
    std::uint64_t ino = 0;
    std::uint32_t birth = 0;  // seconds and nanoseconds of the birth time, folded
    std::uint32_t type = 0;   // S_IFMT bits
    friend bool operator==(const FileKey&, const FileKey&) = default;
};

using Stat = struct statx;

Result<Stat> stat_at(BorrowedFd dir, const Name& name);
// Of an absolute path given by the administrator, symlinks followed, nothing mounted on the way.
Result<Stat> stat_path(const char* path);
Result<Stat> stat_fd(BorrowedFd fd);  // any descriptor, O_PATH included

FileKey key_of(const Stat& st);
inline std::uint64_t hash_of(const FileKey& key) {
    std::uint64_t mixed = key.ino * 0x9e3779b97f4a7c15ULL;
    mixed ^= (key.dev + key.birth) * 0xff51afd7ed558ccdULL;
    return mixed ^ (mixed >> 32);
}
std::uint64_t device_of(const Stat& st);
inline bool is_dir(const Stat& st) {
    return S_ISDIR(st.stx_mode);
}
// Of a path: something is mounted there.
inline bool is_mount_root(const Stat& st) {
    return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
inline bool is_regular(const Stat& st) {
    return S_ISREG(st.stx_mode);
}
// overlayfs' whiteout: a character device with number 0:0.
inline bool is_whiteout_device(const Stat& st) {
    return S_ISCHR(st.stx_mode) && st.stx_rdev_major == 0 && st.stx_rdev_minor == 0;
}

// A directory that lies in several places: it changed when the latest of them did, its subdirectories are those of
// all (one of the same name in two places counts twice: find(1) may not be told too few), and nobody may do in it what
// he may not do in one of them. Where the owners differ, or the groups, the owner's or the group's rights are those of
// `into`: what another one may do says nothing of them.
void add_directory(Stat& into, const Stat& other);

Result<struct statvfs> stat_fs(BorrowedFd fd);
// Whether nothing can be written where the directory lies, as it is mounted at this moment. No server is asked to find
// that it is so; that it is not may take a question for the caller's rights.
bool is_read_only(BorrowedFd dir);
// statfs(2)'s f_type: which file system this is.
Result<std::uint64_t> fs_type(BorrowedFd fd);
// statfs(2)'s f_fsid: of ext4 and Btrfs (there of the subvolume) made of what lies on the disk, so that it stays; 0:
// none.
Result<std::uint64_t> fs_id(BorrowedFd fd);
// Whether names in a directory (one opened for reading) are the same only if their bytes are, as far as its file system
// has a say: false too where we do not know the file system, or where the names may come to be others (encrypted).
// XFS made to fold cases does not say so.
Result<bool> compares_bytes(BorrowedFd dir);

}  // namespace plyfs::sys

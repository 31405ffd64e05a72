// The system calls that pass a gate (gate.h): all that src/sys makes of file systems.
#pragma once

#include <sys/syscall.h>

namespace plyfs::test {

struct Watched {
    int number;
    const char* name;
};

// Newer than the C libraries that we build with; the same numbers on every architecture of the common table.
inline constexpr int kFchmodat2 = 452, kSetxattrat = 463, kGetxattrat = 464, kListxattrat = 465, kRemovexattrat = 466;

// What src/sys calls of file systems, and setgroups and capset beside, by which it takes on a caller's credentials.
// Not close: what says that it failed has closed all the same.
inline constexpr Watched kWatched[] = {
    {SYS_openat, "openat"},
    {SYS_open_by_handle_at, "open_by_handle_at"},
    {SYS_name_to_handle_at, "name_to_handle_at"},
    {SYS_statx, "statx"},
    {SYS_newfstatat, "newfstatat"},
    {SYS_fstat, "fstat"},
    {SYS_statfs, "statfs"},
    {SYS_fstatfs, "fstatfs"},
    {SYS_faccessat, "faccessat"},
    {SYS_faccessat2, "faccessat2"},
    {SYS_getdents64, "getdents64"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_mknodat, "mknodat"},
    {SYS_symlinkat, "symlinkat"},
    {SYS_linkat, "linkat"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_renameat2, "renameat2"},
    {SYS_readlinkat, "readlinkat"},
    {SYS_truncate, "truncate"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_fallocate, "fallocate"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_sync_file_range, "sync_file_range"},
    {SYS_copy_file_range, "copy_file_range"},
    {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_pwritev2, "pwritev2"},
    {SYS_lseek, "lseek"},
    {SYS_ioctl, "ioctl"},
    {SYS_fcntl, "fcntl"},
    {SYS_flock, "flock"},
    {SYS_fchownat, "fchownat"},
    {SYS_fchmod, "fchmod"},
    {SYS_fchmodat, "fchmodat"},
    {kFchmodat2, "fchmodat2"},
    {SYS_utimensat, "utimensat"},
    {SYS_getxattr, "getxattr"},
    {SYS_fgetxattr, "fgetxattr"},
    {kGetxattrat, "getxattrat"},
    {SYS_setxattr, "setxattr"},
    {SYS_fsetxattr, "fsetxattr"},
    {kSetxattrat, "setxattrat"},
    {SYS_listxattr, "listxattr"},
    {SYS_flistxattr, "flistxattr"},
    {kListxattrat, "listxattrat"},
    {SYS_removexattr, "removexattr"},
    {SYS_fremovexattr, "fremovexattr"},
    {kRemovexattrat, "removexattrat"},
    {SYS_inotify_add_watch, "inotify_add_watch"},
    {SYS_fanotify_mark, "fanotify_mark"},
    {SYS_setgroups, "setgroups"},
    {SYS_capset, "capset"},
#if defined(__x86_64__)
    {SYS_access, "access"},
    {SYS_chmod, "chmod"},
    {SYS_readlink, "readlink"},
#endif
};

}  // namespace plyfs::test

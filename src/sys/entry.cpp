#include "sys/entry.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/open.h"

namespace plyfs::sys {
namespace {

Status check(int rc) {
    if (rc != 0) return Errno::last();
    return {};
}

}  // namespace

Status make_dir(BorrowedFd dir, const Name& name, mode_t mode) {
    return check(::mkdirat(dir.get(), name.c_str(), mode));
}

Status make_node(BorrowedFd dir, const Name& name, mode_t mode, dev_t device) {
    return check(::mknodat(dir.get(), name.c_str(), mode, device));
}

Status make_symlink(BorrowedFd dir, const Name& name, const char* target) {
    return check(::symlinkat(target, dir.get(), name.c_str()));
}

Result<std::string> read_symlink(BorrowedFd link) {
    char buffer[PATH_MAX + 1];
    ssize_t n = ::readlinkat(link.get(), "", buffer, sizeof buffer);
    if (n < 0) return Errno::last();
    return std::string(buffer, static_cast<std::size_t>(n));
}

Status unlink_file(BorrowedFd dir, const Name& name) {
    return check(::unlinkat(dir.get(), name.c_str(), 0));
}

Status remove_dir(BorrowedFd dir, const Name& name) {
    return check(::unlinkat(dir.get(), name.c_str(), AT_REMOVEDIR));
}

Status rename_entry(BorrowedFd from_dir, const Name& from, BorrowedFd to_dir, const Name& to, unsigned flags) {
    return check(::renameat2(from_dir.get(), from.c_str(), to_dir.get(), to.c_str(), flags));
}

Status link_fd(BorrowedFd fd, BorrowedFd to_dir, const Name& to) {
    // AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH; without it the magic link does the same.
    if (::linkat(fd.get(), "", to_dir.get(), to.c_str(), AT_EMPTY_PATH) == 0) return {};
    if (errno != ENOENT && errno != EPERM) return Errno::last();
    return check(::linkat(AT_FDCWD, ProcPath(fd).c_str(), to_dir.get(), to.c_str(), AT_SYMLINK_FOLLOW));
}

Status change_size(BorrowedFd fd, off_t size) {
    for (;;) {
        if (::truncate(ProcPath(fd).c_str(), size) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Status sync_file(BorrowedFd fd, bool data_only) {
    for (;;) {
        if ((data_only ? ::fdatasync(fd.get()) : ::fsync(fd.get())) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace plyfs::sys

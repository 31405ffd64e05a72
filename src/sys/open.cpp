#include "sys/open.h"

#include <unistd.h>

#include <cstdio>

namespace plyfs::sys {
namespace {

Result<UniqueFd> open_at(int dir, const char* name, int flags, mode_t mode) {
    for (;;) {
        int fd = ::openat(dir, name, flags | O_CLOEXEC, mode);
        if (fd >= 0) return UniqueFd(fd);
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace

ProcPath::ProcPath(BorrowedFd fd) {
    std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd.get());
}

Result<UniqueFd> open_path(BorrowedFd dir, const Name& name) {
    return open_at(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW, 0);
}

Result<UniqueFd> open_dir_path(BorrowedFd dir, const Name& name) {
    return open_at(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY, 0);
}

Result<UniqueFd> open_dir_for_reading(BorrowedFd dir) {
    return open_at(dir.get(), ".", O_RDONLY | O_DIRECTORY, 0);
}

Result<UniqueFd> open_file(BorrowedFd dir, const Name& name, int flags, mode_t mode) {
    return open_at(dir.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
}

Result<UniqueFd> reopen(BorrowedFd fd, int flags) {
    return open_at(AT_FDCWD, ProcPath(fd).c_str(), (flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL)) | O_NONBLOCK, 0);
}

Result<UniqueFd> open_tmpfile(BorrowedFd dir, int flags, mode_t mode) {
    return open_at(dir.get(), ".", flags | O_TMPFILE, mode);
}

Result<UniqueFd> open_root(const char* path) {
    return open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
}

Result<UniqueFd> duplicate(BorrowedFd fd) {
    int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return Errno::last();
    return UniqueFd(copy);
}

Result<UniqueFd> open_nowhere() {
    return open_at(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0);
}

Status replace(BorrowedFd number, BorrowedFd by) {
    for (;;) {
        if (::dup3(by.get(), number.get(), O_CLOEXEC) >= 0) return {};
        if (errno != EINTR && errno != EBUSY) return Errno::last();
    }
}

}  // namespace plyfs::sys

#include "sys/lock.h"

#include <signal.h>
#include <sys/file.h>

#include "sys/open.h"

namespace plyfs::sys {

Status lock_alone(BorrowedFd fd) {
    for (;;) {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return {};
        if (errno == EWOULDBLOCK) return Errno(EBUSY);
        if (errno != EINTR) return Errno::last();
    }
}

Result<bool> has_other_opener(BorrowedFd fd, Opener opener) {
    // Whoever opens it in just this moment makes the kernel send a signal: one that does nothing.
    if (::fcntl(fd.get(), F_SETSIG, SIGURG) != 0) return Errno::last();
    if (::fcntl(fd.get(), F_SETLEASE, opener == Opener::writer ? F_RDLCK : F_WRLCK) != 0) {
        if (errno == EAGAIN) return true;
        return Errno::last();
    }
    // A lease that is not given up would hold up who opens the file: closing ends it at the latest.
    if (::fcntl(fd.get(), F_SETLEASE, F_UNLCK) != 0) return Errno::last();
    return false;
}

// A lease for reading is given only where nobody writes.
Result<bool> has_writers(BorrowedFd file) {
    const UniqueFd reader = TRY(reopen(file, O_RDONLY));
    const auto other = has_other_opener(reader, Opener::writer);
    return other && *other;
}

Status lock_file(BorrowedFd fd, int operation) {
    for (;;) {
        if (::flock(fd.get(), operation | LOCK_NB) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Status lock_range(BorrowedFd fd, const struct flock& range) {
    struct flock copy = range;
    copy.l_pid = 0;  // required for locks of an open file description
    if (::fcntl(fd.get(), F_OFD_SETLK, &copy) == 0) return {};
    // EACCES is what some file systems say for a lock that is held.
    return errno == EACCES ? Errno(EAGAIN) : Errno::last();
}

Result<struct flock> find_range_lock(BorrowedFd fd, const struct flock& range) {
    struct flock copy = range;
    copy.l_pid = 0;
    if (::fcntl(fd.get(), F_OFD_GETLK, &copy) != 0) return Errno::last();
    // The holder is an open file, not a process, and -1 says so; 0 is what the kernel shows for one it can not name.
    if (copy.l_pid < 0) copy.l_pid = 0;
    return copy;
}

}  // namespace plyfs::sys

#include "sys/lock.h"

#include <sys/file.h>

namespace plyfs::sys {

Status lock_alone(BorrowedFd fd) {
    for (;;) {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return {};
        if (errno == EWOULDBLOCK) return Errno(EBUSY);
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace plyfs::sys

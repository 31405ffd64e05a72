// File locks. All belong to an open file description: they end when the last copy of its descriptor is closed, also by
// a crash, and not, as classic POSIX locks do, when any descriptor of the file is closed. None of these calls waits.
#pragma once

#include <fcntl.h>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// A lock on a whole file or directory against other processes that ask for it too, such as a second mount with the same
// work directory: at once or not at all, EBUSY when somebody has it. Not for O_PATH descriptors.
Status lock_alone(BorrowedFd fd);

// Whether anybody else has a regular file open, or mapped by a descriptor that is closed: for writing only, or at all.
// `fd` has to be open for reading alone. It is known to the kernel by leases: EINVAL and the like where the file system
// has none, EACCES for who is neither the owner nor privileged.
enum class Opener { writer, anybody };
Result<bool> has_other_opener(BorrowedFd fd, Opener opener);

// flock(2); operation LOCK_SH, LOCK_EX or LOCK_UN. EWOULDBLOCK: held by somebody else.
Status lock_file(BorrowedFd fd, int operation);
// A byte range (F_OFD_SETLK). EAGAIN: held by somebody else. Write locks need a descriptor open for writing.
Status lock_range(BorrowedFd fd, const struct flock& range);
// What would be in the way (F_OFD_GETLK); l_type F_UNLCK: nothing.
Result<struct flock> find_range_lock(BorrowedFd fd, const struct flock& range);

// Whether anybody has a regular file open for writing, or mapped so; by any descriptor of it. Only the file systems of
// this machine can tell, others say no.
Result<bool> has_writers(BorrowedFd file);

}  // namespace plyfs::sys

// Opening objects on a branch. Every call takes a directory descriptor and one Name, never follows a symlink in that
// name, and opens close-on-exec: a walk made of these calls can not leave the directory it began in. EINTR is retried.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"

namespace plyfs::sys {

// An O_PATH descriptor: names the object, can not read or write it. A symlink is named, not followed.
Result<UniqueFd> open_path(BorrowedFd dir, const Name& name);
// As open_path, and ENOTDIR unless it is a directory.
Result<UniqueFd> open_dir_path(BorrowedFd dir, const Name& name);
// A directory that can be read (getdents) and fsynced, from an O_PATH descriptor of it.
Result<UniqueFd> open_dir_for_reading(BorrowedFd dir);
// flags as open(2); O_NOFOLLOW and O_CLOEXEC are added. O_NONBLOCK is added too, so that a FIFO planted on a branch can
// not hang the caller; it means nothing for the regular files this is for.
Result<UniqueFd> open_file(BorrowedFd dir, const Name& name, int flags, mode_t mode = 0);
// The object behind an O_PATH (or any) descriptor, opened anew; works for unlinked files. Needs /proc.
Result<UniqueFd> reopen(BorrowedFd fd, int flags);
// A nameless regular file in dir (O_TMPFILE); EOPNOTSUPP or EISDIR where the file system can not.
Result<UniqueFd> open_tmpfile(BorrowedFd dir, int flags, mode_t mode);
// An absolute path given by the administrator, symlinks followed: mount time only.
Result<UniqueFd> open_root(const char* path);
Result<UniqueFd> duplicate(BorrowedFd fd);
// A descriptor in which no name can be found or made (ENOTDIR): in the place of a directory that has gone.
Result<UniqueFd> open_nowhere();
// `number` leads to what `by` does from now on, in one step.
Status replace(BorrowedFd number, BorrowedFd by);

// "/proc/self/fd/N": the way to hand an O_PATH descriptor to calls that take only a path.
struct ProcPath {
    explicit ProcPath(BorrowedFd fd);
    const char* c_str() const { return text; }
    char text[32];
};

}  // namespace plyfs::sys

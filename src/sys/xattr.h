// Extended attributes of one object, never through a path that could be led elsewhere: by a descriptor that
// may be O_PATH (also of a symlink opened O_PATH|O_NOFOLLOW), or by (directory, name) without following a
// symlink. Errors are the kernel's: ENODATA no such attribute, ERANGE buffer too small, ENOTSUP the file
// system or kind of object has none of this class, EBADF no such descriptor. A by-descriptor call costs one
// system call for a real descriptor and two for an O_PATH one; by name it is one where the kernel has the
// *xattrat calls (6.13), else four.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Bytes of the value. With an empty buffer: the size that the value has now, nothing is copied.
Result<std::size_t> get_xattr(BorrowedFd fd, const char* name, std::span<std::byte> buffer);
// The whole value, whatever its size (64 KiB at most in Linux), also while somebody else changes it.
Result<std::vector<std::byte>> get_xattr_all(BorrowedFd fd, const char* name);
// `flags`: 0, XATTR_CREATE (EEXIST if it is there) or XATTR_REPLACE (ENODATA if it is not).
Status set_xattr(BorrowedFd fd, const char* name, std::span<const std::byte> value, int flags = 0);
Status remove_xattr(BorrowedFd fd, const char* name);
// The kernel's raw form: names, each ended by a NUL. With an empty buffer: the size that is needed now.
Result<std::size_t> list_xattr_raw(BorrowedFd fd, std::span<char> buffer);
// A file system without attributes has an empty list, not an error.
Result<std::vector<std::string>> list_xattr(BorrowedFd fd);

// The same for the entry `entry` of a directory. A symlink is not followed. `entry` must be one component.
Result<std::size_t> get_xattr_at(BorrowedFd dir, const char* entry, const char* name, std::span<std::byte> buffer);
Status set_xattr_at(BorrowedFd dir, const char* entry, const char* name, std::span<const std::byte> value,
                    int flags = 0);
Status remove_xattr_at(BorrowedFd dir, const char* entry, const char* name);
Result<std::size_t> list_xattr_raw_at(BorrowedFd dir, const char* entry, std::span<char> buffer);

// Whether the kernel lets us store trusted.* attributes at all, whatever the file system; true where that can not be
// found out.
bool may_use_trusted_xattrs();

}  // namespace plyfs::sys

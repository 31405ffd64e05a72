// File handles: what a file system tells an object by for as long as it lives, whatever its names are.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"

namespace plyfs::sys {

struct FileHandle {
    int type = 0;  // of the bytes, below 256
    std::vector<std::byte> bytes;
    friend bool operator==(const FileHandle&, const FileHandle&) = default;
};
using FsUuid = std::array<std::byte, 16>;

// EOPNOTSUPP where the file system has none that could be opened again.
Result<FileHandle> handle_of(BorrowedFd object);  // O_PATH too
Result<FileHandle> handle_at(BorrowedFd dir, const Name& name);
// An O_PATH descriptor of the object; on_fs: a real descriptor of anything on its file system. ESTALE when it is gone,
// EPERM without CAP_DAC_READ_SEARCH.
Result<UniqueFd> open_handle(BorrowedFd on_fs, const FileHandle& handle);
// As the kernel's own overlayfs would write it: zeros for a file system without one. EOPNOTSUPP where the kernel
// (before Linux 6.9) does not tell. By a real descriptor.
Result<FsUuid> fs_uuid(BorrowedFd on_fs);

}  // namespace plyfs::sys

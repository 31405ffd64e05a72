// What only XFS is asked: it opens no handle without the right generation, but tells that of a number.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// The generation of the inode with this number, by a real descriptor of anything on its file system. ENOENT or EINVAL
// where there is no such inode, ENOTTY on another file system.
Result<std::uint32_t> xfs_generation(BorrowedFd on_fs, std::uint64_t inode);

}  // namespace plyfs::sys

// Copies the data of one regular file into another, empty one: by reflink where both lie on a file system
// that shares extents, else inside the kernel with copy_file_range, else through a buffer. Holes stay holes.
#pragma once

#include <cstdint>
#include <functional>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Makes `to` (open for writing, without O_APPEND, empty) hold the first `size` bytes of `from` (open for
// reading), and be `size` bytes long; a source that turns out shorter gives a target as short as the source.
// Moves the file offset of `from`: nobody else may use that open file meanwhile. Nothing is synced.
//
// `cancelled` (may be empty) is asked before the copy and after each 8 MiB or 20 ms, whichever is earlier, as
// far as a single chunk of 128 KiB does not itself take longer; when it says true the result is EINTR. After
// any error (ENOSPC, EDQUOT, EFBIG, EIO ... are passed on) the target holds a part of the data: it is the
// caller's to throw away.
Status copy_data(BorrowedFd from, BorrowedFd to, std::uint64_t size, const std::function<bool()>& cancelled);

}  // namespace plyfs::sys

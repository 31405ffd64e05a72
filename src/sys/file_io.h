// I/O on open files with explicit offsets. EINTR is retried; a short count is an answer, not an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

Result<std::size_t> read_at(BorrowedFd fd, std::span<std::byte> buffer, std::uint64_t offset);
// Writes all, unless an error comes after some: then the count so far.
Result<std::size_t> write_at(BorrowedFd fd, std::span<const std::byte> data, std::uint64_t offset);
// The same at the end of the file, wherever that is by now.
Result<std::size_t> append(BorrowedFd fd, std::span<const std::byte> data);
// Closes a duplicate, which is a close as far as the file system is concerned, and says what it said.
Status close_copy(BorrowedFd fd);
// O_APPEND: the offset is not looked at, so nothing can be written twice.
bool always_appends(BorrowedFd fd);
Status allocate(BorrowedFd fd, int mode, std::uint64_t offset, std::uint64_t length);
// SEEK_DATA or SEEK_HOLE; moves the descriptor's own offset, which nothing else here uses.
Result<std::uint64_t> seek_extent(BorrowedFd fd, std::uint64_t offset, int whence);
Result<std::size_t> copy_range(BorrowedFd from, std::uint64_t from_offset, BorrowedFd to, std::uint64_t to_offset,
                               std::size_t length, unsigned flags);

}  // namespace plyfs::sys

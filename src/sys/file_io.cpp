#include "sys/file_io.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

namespace plyfs::sys {

Result<std::size_t> read_at(BorrowedFd fd, std::span<std::byte> buffer, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t n =
            ::pread(fd.get(), buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
        if (n == 0) break;
        if (n > 0) {
            done += static_cast<std::size_t>(n);
        } else if (errno != EINTR) {
            if (done > 0) break;
            return Errno::last();
        }
    }
    return done;
}

namespace {

// write: of what is left, after so many bytes.
template <typename Write>
Result<std::size_t> write_all(std::span<const std::byte> data, Write write) {
    std::size_t done = 0;
    while (done < data.size()) {
        const ssize_t n = write(data.subspan(done), done);
        if (n >= 0) {
            done += static_cast<std::size_t>(n);
        } else if (errno != EINTR) {
            if (done > 0) break;
            return Errno::last();
        }
    }
    return done;
}

}  // namespace

Result<std::size_t> write_at(BorrowedFd fd, std::span<const std::byte> data, std::uint64_t offset) {
    return write_all(data, [&](std::span<const std::byte> rest, std::size_t done) {
        return ::pwrite(fd.get(), rest.data(), rest.size(), static_cast<off_t>(offset + done));
    });
}

Result<std::size_t> append(BorrowedFd fd, std::span<const std::byte> data) {
    return write_all(data, [&](std::span<const std::byte> rest, std::size_t) {
        const iovec part{const_cast<std::byte*>(rest.data()), rest.size()};
        return ::pwritev2(fd.get(), &part, 1, 0, RWF_APPEND);
    });
}

Status close_copy(BorrowedFd fd) {
    const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return Errno::last();
    // The descriptor is gone after EINTR too, and what was to be sent goes on being sent.
    if (::close(copy) != 0 && errno != EINTR) return Errno::last();
    return {};
}

bool always_appends(BorrowedFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    return flags >= 0 && (flags & O_APPEND);
}

Status allocate(BorrowedFd fd, int mode, std::uint64_t offset, std::uint64_t length) {
    for (;;) {
        if (::fallocate(fd.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Result<std::uint64_t> seek_extent(BorrowedFd fd, std::uint64_t offset, int whence) {
    const off_t at = ::lseek(fd.get(), static_cast<off_t>(offset), whence);
    if (at < 0) return Errno::last();
    return static_cast<std::uint64_t>(at);
}

Result<std::size_t> copy_range(BorrowedFd from, std::uint64_t from_offset, BorrowedFd to, std::uint64_t to_offset,
                               std::size_t length, unsigned flags) {
    auto in = static_cast<off64_t>(from_offset);
    auto out = static_cast<off64_t>(to_offset);
    for (;;) {
        const ssize_t n = ::copy_file_range(from.get(), &in, to.get(), &out, length, flags);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace plyfs::sys

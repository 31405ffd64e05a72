#include "sys/event_buffer.h"

#include <unistd.h>

#include <cerrno>

namespace plyfs::sys {

Result<std::span<const std::byte>> EventBuffer::left(BorrowedFd queue) {
    while (at_ >= used_) {
        const ssize_t got = ::read(queue.get(), bytes_.get(), size_);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return std::span<const std::byte>();
        if (got <= 0) return got < 0 ? Errno::last() : Errno(EIO);
        at_ = 0;
        used_ = static_cast<std::size_t>(got);
    }
    return std::span<const std::byte>(bytes_.get() + at_, used_ - at_);
}

}  // namespace plyfs::sys

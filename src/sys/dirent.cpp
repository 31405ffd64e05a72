#include "sys/dirent.h"

#include <dirent.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace plyfs::sys {

DirReader::DirReader(UniqueFd fd) : fd_(std::move(fd)) {}

Result<bool> DirReader::next(DirEntry& out) {
    if (!buffer_) buffer_ = std::make_unique<char[]>(kBuffer);
    for (;;) {
        if (at_ >= used_) {
            ssize_t n = ::getdents64(fd_.get(), buffer_.get(), kBuffer);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Errno::last();
            if (n == 0) return false;
            used_ = static_cast<std::size_t>(n);
            at_ = 0;
        }
        const auto* raw = reinterpret_cast<const struct dirent64*>(buffer_.get() + at_);
        at_ += raw->d_reclen;
        out.name = std::string_view(raw->d_name, std::strlen(raw->d_name));
        out.ino = raw->d_ino;
        out.offset = raw->d_off;
        out.type = raw->d_type;
        return true;
    }
}

Result<bool> DirReader::peek(DirEntry& out) {
    if (!TRY(next(out))) return false;
    at_ = static_cast<std::size_t>(out.name.data() - offsetof(dirent64, d_name) - buffer_.get());
    return true;
}

Status DirReader::seek(std::int64_t offset) {
    if (::lseek64(fd_.get(), offset, SEEK_SET) < 0) return Errno::last();
    used_ = at_ = 0;
    return {};
}

}  // namespace plyfs::sys

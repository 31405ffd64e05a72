#include "sys/copy_data.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

namespace plyfs::sys {
namespace {

constexpr std::uint64_t kLargestChunk = 8u << 20;
constexpr std::uint64_t kSmallestChunk = 128u << 10;
constexpr std::size_t kBuffer = 256u << 10;
constexpr std::size_t kZeroBlock = 4096;
constexpr std::chrono::milliseconds kLongChunk{20};

off_t signed_offset(std::uint64_t n) {
    return static_cast<off_t>(n);
}

// copy_file_range can not serve these two files; others (ENOSPC, EIO ...) would meet a plain write as well.
bool asks_for_fallback(int error) {
    return error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS || error == EOVERFLOW ||
           error == ETXTBSY;
}

class Copy {
  public:
    Copy(BorrowedFd from, BorrowedFd to, std::uint64_t size, const std::function<bool()>& cancelled)
        : from_(from.get()), to_(to.get()), size_(size), cancelled_(cancelled) {}

    Status run() {
        TRY(poll());
        if (size_ > 0 && !TRY(reflink())) TRY(copy_segments());
        return {};
    }

  private:
    Status poll() const {
        if (cancelled_ && cancelled_()) return Errno(EINTR);
        return {};
    }

    // The whole file at once, whatever its size. It can not be interrupted, but it moves no data either.
    Result<bool> reflink() {
        if (::ioctl(to_, FICLONE, from_) != 0) {
            const int error = errno;
            if (error == ENOSPC || error == EDQUOT || error == EIO || error == EROFS) return Errno(error);
            return false;
        }
        struct stat st;
        if (::fstat(to_, &st) != 0) return Errno::last();
        if (static_cast<std::uint64_t>(st.st_size) > size_) TRY(set_length(size_));  // the source has grown
        return true;
    }

    Status copy_segments() {
        struct stat st;
        if (::fstat(from_, &st) != 0) return Errno::last();
        // A file system that does not tell holes apart (SEEK_DATA everywhere) may still have a sparse file.
        seek_zeros_ = st.st_blocks * 512 < st.st_size;
        std::uint64_t at = 0;
        while (at < size_ && !at_end_) {
            Segment data = TRY(next_data(at));
            if (data.begin >= size_) break;
            TRY(copy_segment(data));
            at = data.end;
        }
        const std::uint64_t length = at_end_ ? end_ : std::min(size_, TRY(source_length()));
        return written_ == length ? Status() : set_length(length);
    }

    struct Segment {
        std::uint64_t begin, end;
    };

    // The next data at or after `at`, cut at size_; begins at size_ when only a hole is left.
    Result<Segment> next_data(std::uint64_t at) {
        const off_t begin = ::lseek(from_, signed_offset(at), SEEK_DATA);
        if (begin < 0) {
            if (errno == ENXIO) return Segment{size_, size_};
            if (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS) return Segment{at, size_};
            return Errno::last();
        }
        const auto first = static_cast<std::uint64_t>(begin);
        const off_t end = ::lseek(from_, begin, SEEK_HOLE);
        // ENXIO: the file became shorter just now; reading finds its end.
        if (end < 0 && errno != ENXIO) return Errno::last();
        if (end <= begin) return Segment{first, size_};
        return Segment{first, std::min(size_, static_cast<std::uint64_t>(end))};
    }

    Status copy_segment(Segment data) {
        while (data.begin < data.end && !at_end_) {
            const auto start = std::chrono::steady_clock::now();
            const std::uint64_t want = std::min(chunk_, data.end - data.begin);
            data.begin += TRY(in_kernel_ ? copy_range(data.begin, want) : copy_buffer(data.begin, want));
            adapt(std::chrono::steady_clock::now() - start);
            TRY(poll());
        }
        return {};
    }

    // A chunk should take well below 20 ms on this disk, so that a signal to the caller is obeyed at once.
    void adapt(std::chrono::steady_clock::duration took) {
        if (took > kLongChunk / 2) chunk_ = std::max(chunk_ / 2, kSmallestChunk);
        if (took < kLongChunk / 8) chunk_ = std::min(chunk_ * 2, kLargestChunk);
    }

    // Bytes copied; 0 when the way was switched to copy_buffer.
    Result<std::uint64_t> copy_range(std::uint64_t at, std::uint64_t want) {
        off_t in = signed_offset(at);
        off_t out = in;
        const ssize_t n = ::copy_file_range(from_, &in, to_, &out, want, 0);
        if (n < 0 && errno == EINTR) return std::uint64_t{0};
        if (n < 0 && !asks_for_fallback(errno)) return Errno::last();
        // 0 may be the end of a file that shrank, or a file system that fails to say why (both have been
        // seen): reading tells.
        if (n <= 0) {
            in_kernel_ = false;
            return std::uint64_t{0};
        }
        written_ = at + static_cast<std::uint64_t>(n);
        return static_cast<std::uint64_t>(n);
    }

    // Up to one buffer; at the end of the source sets at_end_ and says 0.
    Result<std::uint64_t> copy_buffer(std::uint64_t at, std::uint64_t want) {
        if (!buffer_) buffer_ = std::make_unique<char[]>(kBuffer);
        const ssize_t n = ::pread(from_, buffer_.get(), std::min<std::uint64_t>(kBuffer, want), signed_offset(at));
        if (n < 0 && errno == EINTR) return std::uint64_t{0};
        if (n < 0) return Errno::last();
        if (n == 0) {
            at_end_ = true;
            end_ = at;
            return std::uint64_t{0};
        }
        TRY(write_out(at, static_cast<std::size_t>(n)));
        return static_cast<std::uint64_t>(n);
    }

    Status write_out(std::uint64_t at, std::size_t count) {
        for (std::size_t done = 0; done < count;) {
            const std::size_t zeros = seek_zeros_ ? leading_zeros(done, count) : 0;
            if (zeros > 0) {
                done += zeros;
                continue;
            }
            const std::size_t end = seek_zeros_ ? data_end(done, count) : count;
            const ssize_t n = ::pwrite(to_, buffer_.get() + done, end - done, signed_offset(at + done));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Errno::last();
            if (n == 0) return Errno(EIO);
            done += static_cast<std::size_t>(n);
            written_ = at + done;
        }
        return {};
    }

    bool is_zero(std::size_t begin, std::size_t end) const {
        const char* p = buffer_.get() + begin;
        return *p == 0 && std::memcmp(p + 1, p, end - begin - 1) == 0;
    }

    // Bytes from `begin` that are whole blocks of zeros.
    std::size_t leading_zeros(std::size_t begin, std::size_t count) const {
        std::size_t at = begin;
        while (count - at >= kZeroBlock && is_zero(at, at + kZeroBlock)) at += kZeroBlock;
        return at - begin;
    }

    // Where the next whole block of zeros begins.
    std::size_t data_end(std::size_t begin, std::size_t count) const {
        std::size_t at = begin;
        while (count - at >= kZeroBlock && !is_zero(at, at + kZeroBlock)) at += kZeroBlock;
        return count - at < kZeroBlock ? count : at;
    }

    Result<std::uint64_t> source_length() const {
        struct stat st;
        if (::fstat(from_, &st) != 0) return Errno::last();
        return static_cast<std::uint64_t>(st.st_size);
    }

    Status set_length(std::uint64_t length) {
        while (::ftruncate(to_, signed_offset(length)) != 0) {
            if (errno != EINTR) return Errno::last();
        }
        return {};
    }

    int from_;
    int to_;
    std::uint64_t size_;
    const std::function<bool()>& cancelled_;
    std::unique_ptr<char[]> buffer_;
    std::uint64_t chunk_ = 1u << 20;
    std::uint64_t written_ = 0;  // the target's length so far
    std::uint64_t end_ = 0;      // where the source ended, if at_end_
    bool in_kernel_ = true;
    bool seek_zeros_ = false;
    bool at_end_ = false;
};

}  // namespace

Status copy_data(BorrowedFd from, BorrowedFd to, std::uint64_t size, const std::function<bool()>& cancelled) {
    return Copy(from, to, size, cancelled).run();
}

}  // namespace plyfs::sys

// UniqueFd owns a descriptor; BorrowedFd names one that somebody else keeps open. Every descriptor in plyfs is one of
// the two outside base/ and sys/, and every one is opened close-on-exec.
#pragma once

#include <unistd.h>

#include <utility>

namespace plyfs {

class BorrowedFd {
  public:
    constexpr BorrowedFd() = default;
    constexpr explicit BorrowedFd(int fd) : fd_(fd) {}
    constexpr int get() const { return fd_; }
    constexpr bool valid() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = fd;
    }
    operator BorrowedFd() const { return BorrowedFd(fd_); }  // NOLINT: lending is what one does with it

  private:
    int fd_ = -1;
};

}  // namespace plyfs

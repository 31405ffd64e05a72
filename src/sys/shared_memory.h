// Memory that a process shares with the children it forks after that, and they with each other: what one of them has
// written is there when it was killed. It is zero at first and takes memory only where it was written to.
#pragma once

#include <cstddef>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

class SharedMemory {
  public:
    SharedMemory() = default;
    static Result<SharedMemory> make(std::size_t size);
    // That of a program before this one, by its descriptor.
    static Result<SharedMemory> map(UniqueFd fd, std::size_t size);
    SharedMemory(SharedMemory&& other) noexcept
        : fd_(std::move(other.fd_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    SharedMemory& operator=(SharedMemory&& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~SharedMemory();

    void* data() const { return data_; }
    // It stays there without it.
    UniqueFd& descriptor() { return fd_; }

  private:
    SharedMemory(UniqueFd fd, void* data, std::size_t size) : fd_(std::move(fd)), data_(data), size_(size) {}
    UniqueFd fd_;
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

// Has pages for all of a buffer now, so that the kernel can fill it also when we are being killed.
void populate(void* buffer, std::size_t size);

}  // namespace plyfs::sys

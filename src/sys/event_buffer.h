// EventBuffer: what a queue of the kernel's (inotify, fanotify) has for us is read into it, as many events as fit, and
// taken from it one by one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

class EventBuffer {
  public:
    explicit EventBuffer(std::size_t size) : bytes_(std::make_unique<std::byte[]>(size)), size_(size) {}

    // The events not taken yet, read anew when there are none; empty: nothing is left for now. Valid until the next
    // call that reads.
    Result<std::span<const std::byte>> left(BorrowedFd queue);
    void take(std::size_t bytes) { at_ += bytes; }

  private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_;
    std::size_t used_ = 0;
    std::size_t at_ = 0;
};

}  // namespace plyfs::sys

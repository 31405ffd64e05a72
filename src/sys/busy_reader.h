// BusyReader: how threads wait for messages on a descriptor, such as requests on /dev/fuse. To wake a thread on another
// processor costs more than most requests, so one thread looks out for the next one (busy polling) as long as they come
// that fast; the others wait in the kernel and take what comes while it serves.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstddef>

namespace plyfs::sys {

// How long to look out: longer as long as requests come within `most`, not at all when they do not.
class PollWindow {
  public:
    using Duration = std::chrono::nanoseconds;
    explicit PollWindow(Duration most) : most_(most) {}
    Duration now() const { return Duration(window_.load(std::memory_order_relaxed)); }
    Duration most() const { return most_; }
    // `waited`: from the moment a thread was free until it had a request, waking up included. Any thread.
    void note(Duration waited);

  private:
    const Duration most_;
    std::atomic<Duration::rep> window_{0};
};

class BusyReader {
  public:
    // With `most` of 0, or with one processor only, nobody looks out.
    explicit BusyReader(std::chrono::microseconds most);
    bool looks_out() const { return window_.most().count() > 0; }
    // As read(2). Any thread.
    ssize_t read(int fd, void* buffer, std::size_t size);

  private:
    static void look_out(int fd, PollWindow::Duration window);

    PollWindow window_;
    std::atomic<bool> polling_{false};
};

// As writev(2): one message.
ssize_t write_message(int fd, const iovec* parts, int count);

}  // namespace plyfs::sys

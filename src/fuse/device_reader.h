// DeviceReader: how threads wait for requests on /dev/fuse. To wake a thread on another processor costs more than most
// requests, so one thread looks out for the next request (busy polling) as long as requests come that fast; the others
// wait in the kernel and take what comes while it serves.
#pragma once

#include <atomic>
#include <chrono>

struct fuse_session;

namespace plyfs::fuse {

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

class DeviceReader {
  public:
    // With `most` of 0, or with one processor only, nobody looks out.
    explicit DeviceReader(std::chrono::microseconds most);
    // libfuse reads by way of us from now on: of a mounted session, before it is served. False: it was built without
    // that (custom-io), and reads by itself.
    bool serve(fuse_session* session);
    // As read(2) of /dev/fuse. Any thread.
    ssize_t read(int device, void* buffer, std::size_t size);

  private:
    bool poll_for(int device, PollWindow::Duration window) const;

    PollWindow window_;
    std::atomic<bool> polling_{false};
};

}  // namespace plyfs::fuse

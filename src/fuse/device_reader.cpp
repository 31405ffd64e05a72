#include "fuse/device_reader.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "fuse/libfuse.h"
#include "fuse/server.h"

namespace plyfs::fuse {
namespace {

using Clock = std::chrono::steady_clock;

constexpr PollWindow::Duration kFirst = std::chrono::microseconds(10);
// What it may take until a thread that slept has its request. Without an allowance for it nobody would look out again
// who has once gone to sleep.
constexpr PollWindow::Duration kWake = std::chrono::microseconds(400);

fuse_custom_io make_io() {
    fuse_custom_io io = {};
    io.read = [](int device, void* buffer, std::size_t size, void* server) {
        return static_cast<Server*>(server)->device_reader.read(device, buffer, size);
    };
    io.writev = [](int device, iovec* parts, int count, void*) { return ::writev(device, parts, count); };
    return io;
}

}  // namespace

void PollWindow::note(Duration waited) {
    const Duration before = now();
    const Duration after = waited <= most_ + kWake ? std::min(most_, std::max(kFirst, before * 2)) : before / 2;
    window_.store(after < kFirst ? 0 : after.count(), std::memory_order_relaxed);
}

DeviceReader::DeviceReader(std::chrono::microseconds most)
    : window_(std::thread::hardware_concurrency() > 1 ? most : std::chrono::microseconds(0)) {}

bool DeviceReader::serve(fuse_session* session) {
    if (window_.most().count() == 0) return true;
    const fuse_custom_io io = make_io();
    return fuse_session_custom_io(session, &io, sizeof io, fuse_session_fd(session)) == 0;
}

// An ended session is an event as well: the read tells it.
bool DeviceReader::poll_for(int device, PollWindow::Duration window) const {
    pollfd wanted{device, POLLIN, 0};
    const auto end = Clock::now() + window;
    do {
        if (::poll(&wanted, 1, 0) != 0) return true;
    } while (Clock::now() < end);
    return false;
}

ssize_t DeviceReader::read(int device, void* buffer, std::size_t size) {
    if (polling_.exchange(true, std::memory_order_relaxed)) return ::read(device, buffer, size);
    const auto free_since = Clock::now();
    if (const auto window = window_.now(); window.count() > 0) poll_for(device, window);
    polling_.store(false, std::memory_order_relaxed);
    const ssize_t got = ::read(device, buffer, size);
    window_.note(Clock::now() - free_since);
    return got;
}

}  // namespace plyfs::fuse

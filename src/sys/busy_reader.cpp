#include "sys/busy_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace plyfs::sys {
namespace {

using Clock = std::chrono::steady_clock;

constexpr PollWindow::Duration kFirst = std::chrono::microseconds(10);
// What it may take until a thread that slept has its request. Without an allowance for it nobody would look out again
// who has once gone to sleep.
constexpr PollWindow::Duration kWake = std::chrono::microseconds(400);

}  // namespace

void PollWindow::note(Duration waited) {
    const Duration before = now();
    const Duration after = waited <= most_ + kWake ? std::min(most_, std::max(kFirst, before * 2)) : before / 2;
    window_.store(after < kFirst ? 0 : after.count(), std::memory_order_relaxed);
}

BusyReader::BusyReader(std::chrono::microseconds most)
    : window_(std::thread::hardware_concurrency() > 1 ? most : std::chrono::microseconds(0)) {}

// An end is an event as well: the read tells it.
void BusyReader::look_out(int fd, PollWindow::Duration window) {
    pollfd wanted{fd, POLLIN, 0};
    const auto end = Clock::now() + window;
    while (::poll(&wanted, 1, 0) == 0 && Clock::now() < end) {
    }
}

ssize_t BusyReader::read(int fd, void* buffer, std::size_t size) {
    if (polling_.exchange(true, std::memory_order_relaxed)) return ::read(fd, buffer, size);
    const auto free_since = Clock::now();
    if (const auto window = window_.now(); window.count() > 0) look_out(fd, window);
    polling_.store(false, std::memory_order_relaxed);
    const ssize_t got = ::read(fd, buffer, size);
    window_.note(Clock::now() - free_since);
    return got;
}

ssize_t write_message(int fd, const iovec* parts, int count) {
    return ::writev(fd, parts, count);
}

}  // namespace plyfs::sys

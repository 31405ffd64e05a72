// BusyReader: how threads wait for messages on a descriptor, such as requests on /dev/fuse. To wake a thread costs more
// than most requests, so as long as they come fast and take short one thread leads: it reads them all, looks out for
// the next one (busy polling), and nobody else is woken. Else, and when what it serves takes long while others wait for
// it, all wait in the kernel.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/fd.h"

namespace plyfs::sys {

class BusyReader {
  public:
    // most: how long to look out in vain. With 0, or with one processor only, nobody leads. processors: with more than
    // two, of messages of several clients at once each is for a thread of its own.
    BusyReader(std::chrono::microseconds most, unsigned processors);
    bool looks_out() const { return bell_.valid(); }
    bool is_led() const { return leader_.load() != nullptr; }
    // As read(2) of a descriptor that blocks, whatever its flags were. Any thread, which serves what it has read before
    // it reads again; all of the same descriptor. May be cancelled. A signal ends the wait for who leads as well.
    ssize_t read(int fd, void* buffer, std::size_t size);

  private:
    using Clock = std::chrono::steady_clock;

    ssize_t read_with_others(int fd, void* buffer, std::size_t size);
    ssize_t read_as_leader(int fd, void* buffer, std::size_t size);
    bool look_out(int fd, void* buffer, std::size_t size, ssize_t& got);
    bool is_in_time(Clock::time_point free_since, Clock::time_point read) const;
    void take_lead(int fd);
    void disband(int fd, const void* leader, int pause);
    // False: a signal came.
    bool park(int fd);

    const std::chrono::nanoseconds most_;
    const bool one_for_all_;
    UniqueFd bell_;                             // an eventfd that those who are parked wait at
    std::atomic<const void*> leader_{nullptr};  // by its Turn; null: all wait in the kernel
    std::atomic<bool> serving_{false};          // the leader
    std::atomic<std::uint32_t> served_{0};      // by leaders
    std::atomic<int> at_once_{0};               // messages served while nobody leads
    std::atomic<int> in_time_{0};               // in a row; below 0: more are to come before there is a leader again
    std::atomic<int> parked_{0};
    std::atomic<bool> watched_{false};  // the leader, by one of those who are parked
};

// As writev(2): one message.
ssize_t write_message(int fd, const iovec* parts, int count);

}  // namespace plyfs::sys

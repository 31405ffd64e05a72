#include "sys/busy_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace plyfs::sys {
namespace {

using namespace std::chrono_literals;

// So many messages in a row that came and were served in time make a leader.
constexpr int kRow = 8;
// Until there may be one again where one kept others waiting.
constexpr int kPause = 32;
// So many in a row that were there already: one thread is not enough for them.
constexpr int kCrowd = 64;
// What it may take until a thread that slept has its message.
constexpr auto kWake = 400us;
constexpr auto kShort = 100us;
// At least so often, so that a leader whose processor was given to somebody else meanwhile goes on.
constexpr int kLooks = 100;
// How often it is looked whether the leader keeps others waiting, while there is one.
constexpr int kLook = 1;  // milliseconds

// What a thread has read last; its address stands for the thread.
struct Turn {
    const BusyReader* serves_beside_others = nullptr;
    std::chrono::steady_clock::time_point read{};
    int there_already = 0;
};
thread_local Turn turn;

void set_blocking(int fd, bool blocking) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0) (void)::fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

bool waits_for(int fd) {
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, 0) != 0;
}

}  // namespace

BusyReader::BusyReader(std::chrono::microseconds most, unsigned processors)
    : most_(most), one_for_all_(processors <= 2) {
    if (most.count() > 0 && processors > 1) bell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
}

ssize_t BusyReader::read(int fd, void* buffer, std::size_t size) {
    if (!looks_out()) return ::read(fd, buffer, size);
    for (;;) {
        const void* const leader = leader_.load();
        if (leader && leader != &turn) {
            if (park(fd)) continue;
            errno = EINTR;
            return -1;
        }
        const ssize_t got = leader ? read_as_leader(fd, buffer, size) : read_with_others(fd, buffer, size);
        // Somebody leads from now on, or nobody any more.
        if (got < 0 && errno == EAGAIN) continue;
        // The end is for all to see.
        if (got == 0 || (got < 0 && errno != EINTR)) disband(fd, leader_.load(), 0);
        return got;
    }
}

bool BusyReader::is_in_time(Clock::time_point free_since, Clock::time_point read) const {
    const bool short_before = free_since - turn.read <= kShort;
    return short_before && read - free_since <= most_ + kWake && (one_for_all_ || at_once_.load() == 0);
}

ssize_t BusyReader::read_with_others(int fd, void* buffer, std::size_t size) {
    const auto free_since = Clock::now();
    if (turn.serves_beside_others == this) at_once_.fetch_sub(1);
    turn.serves_beside_others = nullptr;
    const ssize_t got = ::read(fd, buffer, size);
    // Who led may be gone, with the process even.
    if (got < 0 && errno == EAGAIN && !leader_.load()) set_blocking(fd, true);
    if (got <= 0) return got;
    const auto now = Clock::now();
    const bool in_time = is_in_time(free_since, now);
    turn.read = now;
    if (!in_time) {
        if (in_time_.load() > 0) in_time_.store(0);
    } else if (in_time_.fetch_add(1) + 1 >= kRow) {
        take_lead(fd);
    }
    if (leader_.load() != &turn) {
        at_once_.fetch_add(1);
        turn.serves_beside_others = this;
    }
    return got;
}

void BusyReader::take_lead(int fd) {
    const void* nobody = nullptr;
    serving_.store(true);
    if (!leader_.compare_exchange_strong(nobody, &turn)) return;
    set_blocking(fd, false);
    turn.there_already = 0;
}

ssize_t BusyReader::read_as_leader(int fd, void* buffer, std::size_t size) {
    serving_.store(false);
    ssize_t got = ::read(fd, buffer, size);
    if (got > 0 && !one_for_all_ && ++turn.there_already > kCrowd) disband(fd, &turn, kPause);
    if (got < 0 && errno == EAGAIN) {
        turn.there_already = 0;
        if (!look_out(fd, buffer, size, got)) disband(fd, &turn, 0);
    }
    served_.fetch_add(1);
    serving_.store(true);
    return got;
}

// False: there was nothing as long as one is to look.
bool BusyReader::look_out(int fd, void* buffer, std::size_t size, ssize_t& got) {
    const auto end = Clock::now() + most_;
    for (int looks = 0; (looks < kLooks || Clock::now() < end) && leader_.load() == &turn; ++looks) {
        got = ::read(fd, buffer, size);
        if (got >= 0 || errno != EAGAIN) return true;
    }
    errno = EAGAIN;
    return false;
}

// By the leader or by one of those who are parked; who reads again finds that nobody leads.
void BusyReader::disband(int fd, const void* leader, int pause) {
    const int before = errno;
    if (leader) {
        set_blocking(fd, true);
        in_time_.store(-pause);
        const bool was = leader_.compare_exchange_strong(leader, nullptr);
        const std::uint64_t all = static_cast<std::uint64_t>(parked_.load());
        if (was && all > 0) (void)!::write(bell_.get(), &all, sizeof all);
    }
    errno = before;
}

// Until nobody leads, or a moment less. One of those who are parked looks whether the leader keeps others waiting.
bool BusyReader::park(int fd) {
    if (turn.serves_beside_others == this) at_once_.fetch_sub(1);
    turn.serves_beside_others = nullptr;
    parked_.fetch_add(1);
    const bool watches = !watched_.exchange(true);
    pollfd bell{bell_.get(), POLLIN, 0};
    std::uint32_t seen = served_.load();
    int rang = 0;
    for (const void* leader; (leader = leader_.load()) && (rang = ::poll(&bell, 1, watches ? kLook : -1)) == 0;) {
        const std::uint32_t now = served_.load();
        if (serving_.load() && now == seen && waits_for(fd)) disband(fd, leader, kPause);
        seen = now;
    }
    std::uint64_t one = 0;
    (void)!::read(bell_.get(), &one, sizeof one);
    if (watches) watched_.store(false);
    parked_.fetch_sub(1);
    return rang >= 0;
}

ssize_t write_message(int fd, const iovec* parts, int count) {
    return ::writev(fd, parts, count);
}

}  // namespace plyfs::sys

// What the two halves of ring_stress share: the daemon (its own process) and the clients (a process each)
// talk through one anonymous shared mapping, so that a hang or a crash on either side is seen, and survived,
// by the controller.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ring_stress {

inline constexpr int kFiles = 64;
inline constexpr int kMaxClients = 64;
inline constexpr std::uint64_t kFirstFile = 100;  // inode of f0
inline constexpr std::uint64_t kSlow = 50;        // answered from another thread, once `block` is being handled
inline constexpr std::uint64_t kBlock = 51;       // its handler keeps the ring's thread until `slow` is answered
inline constexpr std::uint64_t kHog = 52;         // answered from a worker which then cannot be woken for a while
inline constexpr int kHogMs = 1000;
inline constexpr int kReadSize = 512;

inline std::uint64_t size_of(std::uint64_t ino) {
    return 4096 + ino;
}
inline std::uint64_t word_of(std::uint64_t ino, std::uint64_t offset) {
    return ino << 32 | offset;
}

struct Options {
    long operations = 100000;
    int clients = 6;
    int workers = 4;
    int depth = 8;
    int stall_seconds = 10;
    bool load_only = false;
#ifdef PLYFS_RING_REPLIES_PATCHED
    bool patched = true;  // what packaging/patches promises and upstream does not: failures of these count
#else
    bool patched = false;
#endif
};

struct Shared {
    std::atomic<std::uint64_t> done[kMaxClients];
    std::atomic<std::uint32_t> wrong;
    std::atomic<std::uint64_t> ring_requests, device_requests, offthread_replies;
    std::atomic<bool> initialised, slow_held, block_entered, slow_answered, block_gave_up, aborting;
    std::atomic<std::int64_t> slow_reply_us;
};

// Serves MOUNTPOINT until it is unmounted or aborted; the exit status of the daemon process.
int serve(const std::string& mountpoint, const Options& options, Shared& shared);

}  // namespace ring_stress

// What the daemon counts: one slot a kind of request, in the order of the table in counters.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string_view>

namespace plyfs::control {

enum class Slot : std::uint8_t {
    lookup,
    forget,
    getattr,
    setattr,
    readlink,
    symlink,
    mknod,
    mkdir,
    unlink,
    rmdir,
    rename,
    link,
    open,
    read,
    write,
    statfs,
    release,
    fsync,
    setxattr,
    getxattr,
    listxattr,
    removexattr,
    flush,
    opendir,
    readdir,
    readdirplus,
    releasedir,
    fsyncdir,
    getlk,
    setlk,
    flock,
    access,
    create,
    ioctl,
    poll,
    bmap,
    fallocate,
    lseek,
    copy_file_range,
    tmpfile,
    statx,
    syncfs,
    count_
};

std::string_view slot_name(Slot slot);

// How long requests of one kind took, from when one was read to when it was answered: how many took less than
// bound(bucket), each bound twice the one before; the last bucket has all that took longer.
struct Latencies {
    static constexpr int kBuckets = 26;
    std::array<std::uint64_t, kBuckets> counts{};
    std::uint64_t nanoseconds = 0;                                                              // of all together
    static constexpr std::uint64_t bound(int bucket) { return std::uint64_t{1024} << bucket; }  // nanoseconds
    static constexpr int bucket_of(std::uint64_t took) {
        return std::min(static_cast<int>(std::bit_width(took >> 10)), kBuckets - 1);
    }
};

// Counted by all threads that serve, read now and then: a thread counts times in one of a few parts, so that few meet.
class RequestCounters {
  public:
    void add(Slot slot) { counts_[place_of(slot)].fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t get(Slot slot) const { return counts_[place_of(slot)].load(std::memory_order_relaxed); }
    void took(Slot slot, std::uint64_t nanoseconds) {
        Timed& timed = parts_[part_of_thread()].slots[place_of(slot)];
        timed.counts[static_cast<std::size_t>(Latencies::bucket_of(nanoseconds))].fetch_add(1,
                                                                                            std::memory_order_relaxed);
        timed.nanoseconds.fetch_add(nanoseconds, std::memory_order_relaxed);
    }
    Latencies latencies(Slot slot) const;

  private:
    static constexpr std::size_t kSlots = static_cast<std::size_t>(Slot::count_);
    static constexpr std::size_t kParts = 8;
    struct Timed {
        std::array<std::atomic<std::uint64_t>, Latencies::kBuckets> counts{};
        std::atomic<std::uint64_t> nanoseconds{0};
    };
    struct alignas(64) Part {
        std::array<Timed, kSlots> slots{};
    };
    static constexpr std::size_t place_of(Slot slot) { return static_cast<std::size_t>(slot); }
    static std::size_t part_of_thread();

    std::array<std::atomic<std::uint64_t>, kSlots> counts_{};
    std::array<Part, kParts> parts_{};
};

}  // namespace plyfs::control

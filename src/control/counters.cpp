#include "control/counters.h"

namespace plyfs::control {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Slot::count_)> kNames = {
    "lookup",      "forget",    "getattr", "setattr",         "readlink",    "symlink",    "mknod",
    "mkdir",       "unlink",    "rmdir",   "rename",          "link",        "open",       "read",
    "write",       "statfs",    "release", "fsync",           "setxattr",    "getxattr",   "listxattr",
    "removexattr", "flush",     "opendir", "readdir",         "readdirplus", "releasedir", "fsyncdir",
    "getlk",       "setlk",     "flock",   "access",          "create",      "ioctl",      "poll",
    "bmap",        "fallocate", "lseek",   "copy_file_range", "tmpfile",     "statx",      "syncfs"};
static_assert(!kNames.back().empty());

}  // namespace

std::string_view slot_name(Slot slot) {
    return kNames[static_cast<std::size_t>(slot)];
}

std::size_t RequestCounters::part_of_thread() {
    static std::atomic<std::size_t> next{0};
    thread_local const std::size_t part = next.fetch_add(1, std::memory_order_relaxed) % kParts;
    return part;
}

Latencies RequestCounters::latencies(Slot slot) const {
    Latencies out;
    for (const Part& part : parts_) {
        const Timed& timed = part.slots[place_of(slot)];
        for (std::size_t i = 0; i < out.counts.size(); ++i) {
            out.counts[i] += timed.counts[i].load(std::memory_order_relaxed);
        }
        out.nanoseconds += timed.nanoseconds.load(std::memory_order_relaxed);
    }
    return out;
}

}  // namespace plyfs::control

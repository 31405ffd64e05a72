// What the daemon counts: one slot a kind of request, in the order of the table in counters.cpp.
#pragma once

#include <array>
#include <atomic>
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

class RequestCounters {
  public:
    void add(Slot slot) { counts_[static_cast<std::size_t>(slot)].fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t get(Slot slot) const {
        return counts_[static_cast<std::size_t>(slot)].load(std::memory_order_relaxed);
    }

  private:
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Slot::count_)> counts_{};
};

}  // namespace plyfs::control

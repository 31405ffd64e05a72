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

}  // namespace plyfs::control

#include "sys/caller.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace plyfs::sys {
namespace {

bool read_mask(const char* line, const char* key, std::uint64_t& out) {
    const std::size_t length = std::strlen(key);
    if (std::strncmp(line, key, length) != 0) return false;
    return std::sscanf(line + length, "%" SCNx64, &out) == 1;
}

}  // namespace

bool has_pending_signal(pid_t tid) {
    if (tid <= 0) return false;
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%d/status", tid);
    std::FILE* file = std::fopen(path, "re");
    if (!file) return false;
    std::uint64_t own = 0, shared = 0, blocked = 0, ignored = 0;
    char line[256];
    while (std::fgets(line, sizeof line, file)) {
        if (read_mask(line, "SigPnd:", own) || read_mask(line, "ShdPnd:", shared) ||
            read_mask(line, "SigBlk:", blocked)) {
            continue;
        }
        read_mask(line, "SigIgn:", ignored);
    }
    std::fclose(file);
    return ((own | shared) & ~blocked & ~ignored) != 0;
}

}  // namespace plyfs::sys

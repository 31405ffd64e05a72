#include "sys/caller.h"

#include <signal.h>

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

struct Signals {
    std::uint64_t own = 0, shared = 0, blocked = 0, ignored = 0;
};

Signals read_signals(pid_t tid) {
    Signals signals;
    if (tid <= 0) return signals;
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%d/status", tid);
    std::FILE* file = std::fopen(path, "re");
    if (!file) return signals;
    char line[256];
    while (std::fgets(line, sizeof line, file)) {
        if (read_mask(line, "SigPnd:", signals.own) || read_mask(line, "ShdPnd:", signals.shared) ||
            read_mask(line, "SigBlk:", signals.blocked)) {
            continue;
        }
        read_mask(line, "SigIgn:", signals.ignored);
    }
    std::fclose(file);
    return signals;
}

}  // namespace

bool has_pending_signal(pid_t tid) {
    const Signals signals = read_signals(tid);
    return ((signals.own | signals.shared) & ~signals.blocked & ~signals.ignored) != 0;
}

bool is_being_killed(pid_t tid) {
    // Whatever signal it was, the kernel ends all threads of the process by this one.
    return (read_signals(tid).own & std::uint64_t{1} << (SIGKILL - 1)) != 0;
}

}  // namespace plyfs::sys

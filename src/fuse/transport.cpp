#include "fuse/transport.h"

#include <cstdio>

#include "branch/probe.h"
#include "fuse/libfuse.h"

namespace plyfs::fuse {
namespace {

#if PLYFS_RING_REPLIES_SOUND
constexpr const char* kRingSwitch = "/sys/module/fuse/parameters/enable_uring";

bool ring_switched_on() {
    std::FILE* file = std::fopen(kRingSwitch, "re");
    if (!file) return false;
    const int c = std::fgetc(file);
    std::fclose(file);
    return c == 'Y' || c == '1';
}
#endif

}  // namespace

TransportChoice choose_transport(config::Transport wanted, config::Locks locks, bool network) {
    if (wanted == config::Transport::devfuse) return {false, "asked for"};
    if (wanted == config::Transport::automatic && network) {
        return {false, "a branch is on the network: over io_uring all would wait when it hangs"};
    }
    if (locks == config::Locks::forward) return {false, "locks=forward: waiting lockers would fill a ring"};
#if !PLYFS_RING_REPLIES_SOUND
    const std::string unsound =
        "this libfuse (" + std::string(fuse_pkgversion()) + ") can not reply to a ring from other threads";
    return {false, unsound};
#else
    if (!ring_switched_on()) {
        return {false, std::string("FUSE over io_uring is switched off: echo 1 > ") + kRingSwitch + " to use it"};
    }
    return {true, wanted == config::Transport::io_uring ? "asked for" : "the kernel has it switched on"};
#endif
}

DepthChoice choose_depth(const config::Config& config, const BranchSet& set) {
    if (config.passthrough == config::Passthrough::off) return {0, false, "switched off"};
    if (config.pool.files.null_io) return {0, false, "nullrw: nothing is read or written"};
    if (config.max_stack_depth) return {*config.max_stack_depth, true, "asked for"};
    const int depth = probe_stack_depth(set);
    if (depth == 0) return {0, true, "every branch is a plain file system"};
    return {depth, true, "a branch is itself stacked, so nothing can be stacked on this mount"};
}

}  // namespace plyfs::fuse

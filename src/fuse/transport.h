// What carries requests from the kernel, and how deep a mount may be stacked: what is asked for, what the kernel has,
// and what the branches allow.
#pragma once

#include <string>

#include "branch/branch_set.h"
#include "config/config.h"

namespace plyfs::fuse {

struct TransportChoice {
    bool io_uring = false;
    std::string reason;
};
// auto: io_uring where the kernel has it switched on, libfuse can reply from other threads, and no branch is on the
// network, where it may hang: a ring is one thread, so requests that wait there keep all those waiting that share its
// processor. Says why not. Forwarded locks go over /dev/fuse whatever was asked for: a request that waits keeps its
// place in a ring, and a few waiting lockers would fill it.
TransportChoice choose_transport(config::Transport wanted, config::Locks locks, bool network = false);

struct DepthChoice {
    int depth = 0;  // as libfuse counts; meaningless without passthrough
    bool passthrough = true;
    std::string reason;
};
DepthChoice choose_depth(const config::Config& config, const BranchSet& set);

}  // namespace plyfs::fuse

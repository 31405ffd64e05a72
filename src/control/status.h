// The state of a mount as text, `key value` a line: what the attribute user.plyfs.stats of the mount's root gives to
// root.
#pragma once

#include <string>

#include "control/counters.h"
#include "ops/context.h"

namespace plyfs::control {

inline constexpr const char* kStatsXattr = "user.plyfs.stats";

// How the mount was set up, for people and tests.
struct MountFacts {
    std::string transport;  // "devfuse" or "io_uring"
    std::string transport_reason;
    std::string max_stack_depth;  // "0", "1" or "off"
    std::string depth_reason;
    std::string coherence;  // "watch" or "timeout"
    std::string coherence_reason;
};

std::string status_text(ops::Context& ctx, const RequestCounters& requests, const MountFacts& facts);

}  // namespace plyfs::control

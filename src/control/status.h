// The state of a mount: as text, `key value` a line, what the attribute user.plyfs.stats of the mount's root gives to
// root; and as JSON, for the control socket. Asks no branch anything, so it is told also while one hangs.
#pragma once

#include <string>

#include "base/json.h"
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
    std::uint32_t takeovers = 0;  // daemons that this mount had before this one
    int supervisor = 0;           // the process that would start another one; 0: none
};

std::string status_text(ops::Context& ctx, const RequestCounters& requests, const MountFacts& facts);

// Nothing may be changed through the mount: it was made so, or the kernel says so since a remount.
bool is_read_only(const config::Config& config);
// How the mount is set up, and its branches.
Json status_json(ops::Context& ctx, const MountFacts& facts, const config::Config& config);
// What it has done since it was mounted; to be read twice by whoever wants rates.
Json counters_json(ops::Context& ctx, const RequestCounters& requests);

}  // namespace plyfs::control

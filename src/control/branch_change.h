// Other branches for a pool that is mounted: what is asked for, by a command or by mergerfs' words, and whether it can
// be. Who asks is refused with config::BadValue or, with a line for each fault, config::Error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "branch/branch_set.h"
#include "config/config.h"
#include "control/amendments.h"
#include "control/status.h"

namespace plyfs::control {

inline constexpr const char* kAnotherChange = "another change is under way; try again";
// Why no other daemon can follow that of a mount, and what to mount it with.
std::string why_none_follows(const MountFacts& facts, const config::Config& config);

using Branches = std::vector<config::BranchSpec>;

// written: as the option `branches` has them; relative paths are taken from base.
Branches with_branches(const Branches& branches, const std::vector<std::string>& written, const std::string& base,
                       bool first);
// Each of the paths is a branch's.
Branches without_branches(const Branches& branches, const std::vector<std::string>& paths);

// The path is a branch's.
Branches with_mode(const Branches& branches, const std::string& path, config::BranchMode mode);

// What mergerfs' attribute user.mergerfs.branches takes: a list, with "+<" before it what comes first, with "+>" or "+"
// what comes last, with "-" patterns of those to leave out; "-<" and "->" leave out the first and the last.
Branches changed_branches(const Branches& branches, std::string_view text);

// For the log.
std::string text_of(const Branches& branches);

// Whether a mount with these is one with those.
bool same_branches(const Branches& a, const Branches& b);

// Checks, as before a mount, what the mount would be with these branches; of those it has some may be missing. Looks at
// them, so it may wait for one that does not answer and is not known for that yet.
Succession plan_succession(const config::Config& config, const BranchSet& set, Branches branches,
                           const Amendments& so_far, bool force);

}  // namespace plyfs::control

// Where a new name goes: which branch a placement policy prefers, and which ones to try after it when the
// file system says ENOSPC, EDQUOT or EROFS. Pure: facts and a random number go in, an order comes out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace plyfs::policy {

struct Candidate {
    int branch = 0;
    config::BranchMode mode = config::BranchMode::rw;
    bool read_only_fs = false;
    bool has_parent = false;      // the parent directory lies on this branch already
    std::uint64_t available = 0;  // bytes that an unprivileged user may still take
    std::uint64_t total = 0;
    bool no_inodes = false;
};

// Branch numbers in order of preference, never empty. Candidates come in order of the branches' priority, and
// among equals the earlier one is preferred. A branch without a byte left comes last instead of never:
// whether it is full for this caller only its file system can say (reserved blocks, a file that needs none).
//
// When no branch is eligible, the gravest reason: EROFS (may not take new names), ENOSPC (no inodes), ENOENT
// (a policy that keeps to existing directories found none).
//
// random: uniform over all 64-bit numbers.
Result<std::vector<int>> rank(config::CreatePolicy policy, std::span<const Candidate> candidates, std::uint64_t random);

}  // namespace plyfs::policy

// The create form of the policies: where a new name goes, and which branches to try after that when the file system
// says ENOSPC, EDQUOT or EROFS.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "policy/preference.h"

namespace plyfs::policy {

// 0, or why a branch takes no new names, whatever the policy: EROFS (its mode, a read-only file system), ENOSPC (no
// inodes, or less space than its reserve).
int obstacle(const Candidate& candidate);

// Branch numbers in order of preference, never empty. A branch without a byte left comes last instead of never, if its
// reserve allows that: whether it is full for this caller only its file system can say (a file that needs no block).
//
// When no branch is eligible, the gravest reason: EROFS, ENOSPC, or ENOENT (a policy that keeps to existing directories
// found none).
Result<std::vector<int>> rank(config::Policy policy, std::span<const Candidate> candidates, std::uint64_t random);
// For a copy or a mark, which has to be somewhere: a policy that keeps to existing directories takes the nearest then.
Result<std::vector<int>> rank_for_copy(config::Policy policy, std::span<const Candidate> candidates,
                                       std::uint64_t random);

}  // namespace plyfs::policy

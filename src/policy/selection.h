// The search and action forms of the policies: which of several branches that have an object answers for it, and on
// which of them it is changed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "policy/preference.h"

namespace plyfs::policy {

// The branch that answers, of those that have the object. ENOENT when there is none, EROFS by the policy of that name.
Result<int> select_winner(config::Policy policy, std::span<const Candidate> holders, std::uint64_t random);

// The branches on which it is changed, in the order of `holders`: all that may be modified, or the one of them that is
// preferred. The gravest reason when there is none: EROFS, ENOENT.
Result<std::vector<int>> select_changed(config::Policy policy, std::span<const Candidate> holders,
                                        std::uint64_t random);

}  // namespace plyfs::policy

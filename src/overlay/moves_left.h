// Moves between branches during which a daemon was killed or the power cut (overlay/move_note): each is finished, or
// taken back where it can not be; what somebody has changed since is not removed.
#pragma once

#include <functional>

#include "branch/branch_set.h"
#include "overlay/workdir.h"

namespace plyfs {

// Those to branch `to` that the work directory tells of. may_change: branches from which names may go, because nobody
// sees them yet. A move that has to wait for a branch that is missing stays noted.
void settle_moves(const BranchSet& set, BranchIndex to, const WorkDir& work,
                  const std::function<bool(BranchIndex)>& may_change);

}  // namespace plyfs

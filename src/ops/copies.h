// Changing an object that several branches of a pool have: which of its copies the action policies mean, and whose
// failure counts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ops/context.h"

namespace plyfs::ops {

// A copy that is changed, by an O_PATH descriptor.
struct ChangedCopy {
    UniqueFd fd;
    BranchIndex branch = -1;
    bool may_have_set_ids = true;
    bool is_dir = false;
};

// The copies of a node that a change applies to, made writable first if need be, so never none; the winner before the
// others if it is among them. Of a layered mount a file's winner, a directory's part in the upper layer. Of a pool
// those that the policy of the function selects: of files the copies of the node's first name.
Result<std::vector<ChangedCopy>> copies_to_change(Context& ctx, const NodeRef& node, config::Function function,
                                                  const CopyUpRequest& request);

// Of the copies at a name (winner first, whiteouts too) the one that the policy of the function means; none: all that
// may be changed. A winner that may not be is it in any case, for it is what has to be hidden or copied up.
Result<std::optional<BranchIndex>> chosen_copy(Context& ctx, config::Function function, std::span<const Hit> hits);

// The file that is open, whatever other copies its name has.
Result<std::vector<ChangedCopy>> winner_to_change(Context& ctx, const NodeRef& node, const CopyUpRequest& request);

using Change = std::function<Status(const ChangedCopy&)>;

// As mergerfs says: what failed for the winner has failed; without the winner what failed for all.
Status change_each(Context& ctx, const NodeRef& node, const std::vector<ChangedCopy>& copies, const Change& change);

// Both for a directory: parts that it gets meanwhile, which may have been made as it was before, are changed as well.
Status change_parts(Context& ctx, const NodeRef& dir, config::Function function, const CopyUpRequest& request,
                    const Change& change);

}  // namespace plyfs::ops

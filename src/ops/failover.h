// Another copy of a pool's file, where the one that answers can not be read: only a true one, as large and changed at
// the same time.
#pragma once

#include <vector>

#include "ops/context.h"

namespace plyfs::ops {

struct TrueCopy {
    UniqueFd fd;  // O_PATH
    BranchIndex branch = -1;
};

// Of a file that `like` is of, on none of these branches. ENOENT: there is none.
Result<TrueCopy> find_true_copy(Context& ctx, const NodeRef& node, const sys::Stat& like,
                                const std::vector<BranchIndex>& but);

// Whether the file is to be read through the daemon, because there is another copy to go on with.
bool reads_for_failover(Context& ctx, const NodeRef& node);

}  // namespace plyfs::ops

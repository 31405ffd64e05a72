// Where an object of a pool lies: on which branches, by which paths. For mergerfs' attributes that tell it, and for df.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/lookup.h"

namespace plyfs::ops {

// Those that have the object under its first name, in their order; none for one without a name.
Result<std::vector<BranchIndex>> branches_of(Context& ctx, const NodeRef& node);

// base: the branch that answers. relative: the path in the mount, beginning with a '/'. full: the path on that branch.
// all: the paths on all branches that have it, with a NUL after each but the last.
enum class Where { base, relative, full, all };
// "user.mergerfs.fullpath" and "user.plyfs.fullpath" and so on, in a pool.
std::optional<Where> asks_where(std::string_view attribute);
// ENODATA for an object without a name.
Result<std::string> tell_where(Context& ctx, NodeId id, Where where);

}  // namespace plyfs::ops

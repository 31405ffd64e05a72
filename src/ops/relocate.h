// Emptying a branch of a pool object by object: files and the like move (node/move), directories are taken away there
// once another branch has them too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/context.h"

namespace plyfs::ops {

struct RelocateRequest {
    std::vector<std::string> paths;  // all names of one object, from the mount's root
    BranchIndex from = -1;
    BranchIndex to = -1;  // -1: the policy for moved files chooses (moveonenospc, else pfrd)
    std::function<bool()> cancelled;
};
struct Relocated {
    bool done = false;
    std::string why;       // it stays
    BranchIndex now = -1;  // where it is
};
// Nothing is lost whenever it ends: until the copy is complete and durable the object is where it was. An error: it can
// not be found, or EINTR.
Result<Relocated> relocate(Context& ctx, const RelocateRequest& request);

}  // namespace plyfs::ops

// Placing a new object: which branch, its parent directories there, and in place of a whiteout where one hides the
// name.
#pragma once

#include <functional>

#include "ops/context.h"

namespace plyfs::ops {

struct Placed {
    BranchIndex branch = -1;
    SharedDir dir;                  // the parent on that branch
    std::vector<BranchIndex> also;  // where else it was made, by a policy that takes all
};

// EPERM for a name that a pool keeps for itself, EINVAL for one that would be a mark.
Status require_free_for_users(Context& ctx, const Node& parent, const Name& name);

// Calls make(directory, name) as the caller on one branch after another, best first, until one has room. What make
// created under the name it is given ends under `name`, by one rename where a whiteout has to be replaced; a directory
// that replaces one is opaque.
// make must not leave anything behind when it fails.
//
// Where the branch keeps owners and types beside the inodes, the object is the daemon's own, and its kind is given
// here.
struct NewObject {
    mode_t type = 0;  // S_IFMT bits; 0: what make makes has its owner already
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    bool by_mknod = false;  // also of a regular file
};
using Maker = std::function<Status(BorrowedFd dir, const Name& name)>;
//
// By a policy that takes all branches it is made on each of them, but for a regular file; where that fails it lacks.
Result<Placed> place(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                     const NewObject& what, const Maker& make);

// As above on a branch that is given: links and renames have no choice.
Result<SharedDir> place_on(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                           BranchIndex branch, const NewObject& what, const Maker& make);

// Whether what a branch answered leaves the next one to be tried.
bool may_try_next(Errno e);

// The caller as whom an object is made on the branch.
sys::Caller maker_of(const Branch& branch, const sys::Caller& caller);
// Gives an object just made in `dir` on a branch that keeps owners beside the inodes what it should look like.
Status settle_new(const Branch& branch, const sys::Caller& caller, BorrowedFd dir, BorrowedFd object,
                  const NewObject& what);

// Whether what is put under the name on this branch would not be seen: an opaque directory or a whiteout above hides
// it. A link has no other branch to go to, and is EXDEV then.
Result<bool> would_be_hidden(Context& ctx, const NodeRef& parent, const Name& name, BranchIndex branch);

}  // namespace plyfs::ops

// Opening the branches of a mount: what each is and can do, found out once at mount time.
#pragma once

#include <memory>
#include <string>

#include "branch/branch_set.h"
#include "branch/own_mount.h"
#include "config/config.h"

namespace plyfs {

struct ProbeFailure {
    std::string message;  // one line: what, where, how to mend
};

// The branch set of a configuration, or the first thing that is wrong with it. own: where the upper directory is
// opened.
std::shared_ptr<BranchSet> probe_branches(const config::Config& config, const OwnMount& own, ProbeFailure& failure);

// The stacking depth to ask the kernel for, as libfuse counts: 0 when every branch is a plain file system, 1 when one
// is itself stacked (branch/stacking.h). The kernel's limit is two in all, so after 1 nothing can stack on us.
int probe_stack_depth(const BranchSet& branches);

// Whether the file system at the root of a branch has its data elsewhere: NFS, FUSE and the like.
bool is_on_network(BorrowedFd root);

}  // namespace plyfs

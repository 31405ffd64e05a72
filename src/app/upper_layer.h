// What a mount keeps beside the branch that may be changed: the work directory, the locks that keep other mounts away,
// and for layers how copies are known again.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "branch/branch_set.h"
#include "branch/own_mount.h"
#include "config/config.h"
#include "overlay/index.h"
#include "overlay/origins.h"
#include "overlay/workdir.h"

namespace plyfs::app {

struct UpperLayer {
    std::unique_ptr<WorkDir> workdir;  // null: nothing is copied up, or pools make theirs when they need one
    UniqueFd lock;                     // on the upper directory, for as long as it is open
    std::shared_ptr<const Origins> origins;
    std::unique_ptr<Index> index;
};

// False: it can not be used, and `failure` says why and how to mend it. Decides in which form marks are written, too.
bool open_upper(const config::Config& config, const OwnMount& own, const std::shared_ptr<BranchSet>& set,
                UpperLayer& out, std::string& failure);

}  // namespace plyfs::app

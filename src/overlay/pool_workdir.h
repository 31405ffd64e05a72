// The work directory of a pool on one of its branches.
#pragma once

#include <memory>
#include <string>

#include "overlay/workdir.h"

namespace plyfs {

// In the branch's root; another pool may have the same branch, and has its own then. name: what it is called, for
// whoever removes it when he has done.
Result<std::unique_ptr<WorkDir>> open_pool_workdir(BorrowedFd root, std::string& name);

}  // namespace plyfs

// The work directory of a pool on one of its branches.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "overlay/workdir.h"

namespace plyfs {

// In the branch's root; another pool may have the same branch, and has its own then. name: what it is called, for
// whoever removes it when he has done.
Result<std::unique_ptr<WorkDir>> open_pool_workdir(BorrowedFd root, std::string& name);
// What killed pools have left there: it is made when it is needed, so nobody else would come to look into an old one.
// Those of pools that are served are locked, and left alone.
// settle: what is to be done with each before it goes.
void sweep_pool_workdirs(BorrowedFd root, const std::function<void(const WorkDir&)>& settle);

}  // namespace plyfs

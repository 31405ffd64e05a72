// Where plyctl prepares what it puts on the branches of a pool: a work directory of its own on each, which goes again.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/fd.h"
#include "overlay/workdir.h"

namespace plyfs::ctl {

class BranchWorks {
  public:
    BranchWorks() = default;
    ~BranchWorks();
    BranchWorks(const BranchWorks&) = delete;
    BranchWorks& operator=(const BranchWorks&) = delete;
    // root: of the branch.
    Result<WorkDir*> on(const std::string& branch, BorrowedFd root);

  private:
    struct Work {
        UniqueFd root;
        std::string name;
        std::unique_ptr<WorkDir> dir;
    };
    std::map<std::string, Work> works_;
};

}  // namespace plyfs::ctl

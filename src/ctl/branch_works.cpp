#include "ctl/branch_works.h"

#include "base/log.h"
#include "overlay/pool_workdir.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ctl {

BranchWorks::~BranchWorks() {
    for (auto& [branch, work] : works_) {
        // Removed before its lock goes, as others expect it.
        const auto removed = sys::remove_dir(work.root, *Name::parse(work.name));
        if (!removed) log::debug("{}/{} stays", branch, work.name);
    }
}

Result<WorkDir*> BranchWorks::on(const std::string& branch, BorrowedFd root) {
    const auto known = works_.find(branch);
    if (known != works_.end()) return known->second.dir.get();
    Work work{TRY(sys::duplicate(root)), {}, nullptr};
    work.dir = TRY(open_pool_workdir(root, work.name));
    return works_.emplace(branch, std::move(work)).first->second.dir.get();
}

}  // namespace plyfs::ctl

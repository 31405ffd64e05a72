#include "overlay/pool_workdir.h"

namespace plyfs {

Result<std::unique_ptr<WorkDir>> open_pool_workdir(BorrowedFd root, std::string& name) {
    constexpr int kMostOnBranch = 64;
    for (int number = 0;; ++number) {
        name = std::string(kPoolPrefix) + "work" + (number ? std::to_string(number) : "");
        auto work = WorkDir::open(root, *Name::parse(name));
        if (!work.failed_with(EBUSY) || number == kMostOnBranch) return work;
    }
}

}  // namespace plyfs

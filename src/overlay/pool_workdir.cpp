#include "overlay/pool_workdir.h"

#include "base/log.h"
#include "sys/entry.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

constexpr int kMostOnBranch = 64;

std::string name_of(int number) {
    return std::string(kPoolPrefix) + "work" + (number ? std::to_string(number) : "");
}

}  // namespace

Result<std::unique_ptr<WorkDir>> open_pool_workdir(BorrowedFd root, std::string& name) {
    for (int number = 0;; ++number) {
        name = name_of(number);
        auto work = WorkDir::open(root, *Name::parse(name));
        if (!work.failed_with(EBUSY) || number == kMostOnBranch) return work;
    }
}

void sweep_pool_workdirs(BorrowedFd root, const std::function<void(const WorkDir&)>& settle) {
    for (int number = 0; number <= kMostOnBranch; ++number) {
        const std::string text = name_of(number);
        const Name name = *Name::parse(text);
        if (const auto st = sys::stat_at(root, name); !st || !sys::is_dir(*st)) continue;
        const auto left = WorkDir::open(root, name);
        if (!left) continue;
        settle(**left);
        auto removed = sys::remove_dir(root, name);
        if (!removed) log::debug("{} stays: {}", text, log::errno_text(removed.error().value()));
    }
}

}  // namespace plyfs

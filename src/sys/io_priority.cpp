#include "sys/io_priority.h"

#include <linux/ioprio.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace plyfs::sys {
namespace {

constexpr int kSelf = 0;

int get_priority(pid_t thread) {
    return static_cast<int>(::syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, thread));
}

}  // namespace

IoPriorityOf::IoPriorityOf(pid_t thread) {
    const int wanted = thread > 0 ? get_priority(thread) : -1;
    const int mine = wanted >= 0 ? get_priority(kSelf) : -1;
    if (mine < 0 || mine == wanted) return;
    if (::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, kSelf, wanted) == 0) before_ = mine;
}

IoPriorityOf::~IoPriorityOf() {
    if (before_ >= 0) ::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, kSelf, before_);
}

}  // namespace plyfs::sys

#include "sys/namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "base/fd.h"

namespace plyfs::sys {

Status enter_mount_namespace(const char* path) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    if (::setns(fd.get(), CLONE_NEWNS) != 0) return Errno::last();
    return {};
}

}  // namespace plyfs::sys

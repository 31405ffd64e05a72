// Moving this process into another mount namespace, as `mount -N` asks of its helpers. Only while there is
// one thread.
#pragma once

#include "base/result.h"

namespace plyfs::sys {

// path names the namespace, such as /proc/PID/ns/mnt. The working directory and root become those of that
// namespace.
Status enter_mount_namespace(const char* path);

}  // namespace plyfs::sys

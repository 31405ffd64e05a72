// Gives up the system calls that a daemon which serves a mount does not make (seccomp(2)): whoever takes it over can
// not start programs, open connections, trace other processes, load code into the kernel or change the clock. For all
// threads of the process and all that it starts, for good.
#pragma once

#include "base/result.h"

namespace plyfs::sys {

// What is not known is EPERM from then on, and noted in the kernel's audit log. rings: FUSE is served over io_uring,
// whose requests no such filter sees. EINVAL or ENOSYS: the kernel has no filters.
Status give_up_other_calls(bool rings);

}  // namespace plyfs::sys

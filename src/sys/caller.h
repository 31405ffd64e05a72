// What can be seen of the process behind a request.
#pragma once

#include <sys/types.h>

namespace plyfs::sys {

// Whether a signal that the thread would act upon is waiting for it: the stand-in for FUSE_INTERRUPT on transports that
// do not deliver it. Reads /proc; false for a process that is gone or not in our pid namespace.
bool has_pending_signal(pid_t tid);

// Whether it is about to end by a signal, whatever others wait for it.
bool is_being_killed(pid_t tid);

}  // namespace plyfs::sys

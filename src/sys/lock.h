// A lock on a whole file or directory against other processes that ask for it too, such as a second mount with the same
// work directory. It ends when the descriptor's last copy is closed, also by a crash.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// Takes it for this open file alone, at once or not at all: EBUSY when somebody has it. Not for O_PATH descriptors.
Status lock_alone(BorrowedFd fd);

}  // namespace plyfs::sys

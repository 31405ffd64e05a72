// Where a thread of this process waits in the kernel, by /proc: for whoever has to know whether it waits for a file
// system that does not answer, and can not ask that. Nothing here touches the file system of what it tells of.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// The mount that an open object lies on, as the kernel numbers them. Needs /proc.
Result<std::uint64_t> mount_of(BorrowedFd fd);

struct Waiting {
    bool for_a_thread = false;          // a lock, or a condition
    std::vector<std::uint64_t> mounts;  // of the descriptors that its system call was given
};
// Of a thread that runs: neither. Needs /proc.
Result<Waiting> find_waiting(pid_t thread);

}  // namespace plyfs::sys

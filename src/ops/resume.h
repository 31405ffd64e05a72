// Open files of an earlier process: the kernel has them open still.
#pragma once

#include <cstdint>

#include "ops/open.h"

namespace plyfs::ops {

struct LeftOpen {
    NodeId id = 0;
    int flags = 0;
    IoMode mode = IoMode::cached;
    std::int32_t backing_id = 0;  // of opens in passthrough, and of those served from the winner
    sys::FileKey backing;         // of the file that it is of; none: not known
};

// The handle of an open that was counted by the process before: counted again, with its backing, which goes on to be
// shared by the opens of its node. ESTALE: its node can not be found.
Result<FileHandle*> resume(Context& ctx, const LeftOpen& left);
// The file that an open has for its backing.
sys::FileKey backing_of(FileHandle& handle);

}  // namespace plyfs::ops

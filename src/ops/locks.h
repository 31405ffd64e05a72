// Locks forwarded to the branches (locks=forward), for pools whose branches are used by others as well. By default the
// kernel keeps the locks of a mount itself and none of this runs.
//
// Range locks belong to an owner the kernel names; each owner of a file has a descriptor of his own here, because that
// is what a lock on a branch belongs to. flock belongs to the open file, which has its own descriptor anyway. A lock
// taken before a copy-up stays with the original.
#pragma once

#include <fcntl.h>

#include <map>
#include <memory>

#include "ops/open.h"

namespace plyfs::ops {

class LockOwners {
  public:
    // The owner's descriptor of the handle's file, made when there is none.
    Result<SharedFd> descriptor(Context& ctx, const Request& request, FileHandle& handle, std::uint64_t owner);
    SharedFd find(const FileHandle& handle, std::uint64_t owner);
    // The owner closed the file: all his range locks on it end.
    void end(const FileHandle& handle, std::uint64_t owner);

  private:
    using Key = std::pair<const Node*, std::uint64_t>;
    struct Owned {
        NodeRef node;  // keeps the address from being used again
        SharedFd fd;
    };
    Mutex mutex_;
    std::map<Key, Owned> owned_ GUARDED_BY(mutex_);
};

// EAGAIN: somebody else holds it; who wants to wait asks again. EINPROGRESS, also EINTR, as with a copy-up: the file is
// being moved; once it has a lock it is not (node/move).
Status set_range_lock(Context& ctx, const Request& request, LockOwners& owners, FileHandle& handle, std::uint64_t owner,
                      const struct flock& range);
Result<struct flock> get_range_lock(Context& ctx, const Request& request, LockOwners& owners, FileHandle& handle,
                                    std::uint64_t owner, const struct flock& range);
// operation LOCK_SH, LOCK_EX, LOCK_UN; EAGAIN as above.
Status set_file_lock(Context& ctx, const Request& request, FileHandle& handle, int operation);

}  // namespace plyfs::ops

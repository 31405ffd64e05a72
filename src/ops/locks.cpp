#include "ops/locks.h"

#include <sys/file.h>

#include "node/changing.h"
#include "sys/lock.h"
#include "sys/open.h"

namespace plyfs::ops {

Result<SharedFd> LockOwners::descriptor(Context& ctx, const Request& request, FileHandle& handle, std::uint64_t owner) {
    if (auto known = find(handle, owner)) return known;
    const auto turn = TRY(Changing::begin(ctx.tree, handle.node(), request.copy_up()));
    auto object = TRY(ctx.tree.find_object(handle.node()));
    // A write lock needs write access; whether the owner may have one the kernel has checked on his open file.
    const bool writable = ctx.tree.set().at(object.branch).writable();
    auto fd = std::make_shared<const UniqueFd>(TRY(sys::reopen(object.fd, writable ? O_RDWR : O_RDONLY)));
    bool added;
    {
        MutexLock lock(mutex_);
        const auto place = owned_.try_emplace({handle.node().get(), owner}, Owned{handle.node(), std::move(fd)});
        fd = place.first->second.fd;
        added = place.second;
    }
    if (added) ++LockedNode(*handle.node())->rare.make().branch_locks;
    return fd;
}

SharedFd LockOwners::find(const FileHandle& handle, std::uint64_t owner) {
    MutexLock lock(mutex_);
    auto it = owned_.find({handle.node().get(), owner});
    return it == owned_.end() ? nullptr : it->second.fd;
}

void LockOwners::end(const FileHandle& handle, std::uint64_t owner) {
    Owned closed_later;
    {
        MutexLock lock(mutex_);
        auto it = owned_.find({handle.node().get(), owner});
        if (it == owned_.end()) return;
        closed_later = std::move(it->second);
        owned_.erase(it);
    }
    --LockedNode(*handle.node())->rare.make().branch_locks;
}

Status set_range_lock(Context& ctx, const Request& request, LockOwners& owners, FileHandle& handle, std::uint64_t owner,
                      const struct flock& range) {
    if (range.l_type == F_UNLCK) {
        const auto fd = owners.find(handle, owner);
        return fd ? sys::lock_range(*fd, range) : Status{};
    }
    return sys::lock_range(*TRY(owners.descriptor(ctx, request, handle, owner)), range);
}

Result<struct flock> get_range_lock(Context& ctx, const Request& request, LockOwners& owners, FileHandle& handle,
                                    std::uint64_t owner, const struct flock& range) {
    return sys::find_range_lock(*TRY(owners.descriptor(ctx, request, handle, owner)), range);
}

Status set_file_lock(Context& ctx, const Request& request, FileHandle& handle, int operation) {
    const auto turn = TRY(Changing::begin(ctx.tree, handle.node(), request.copy_up()));
    auto done = sys::lock_file(*TRY(handle.descriptor(ctx)), operation);
    if (done) {
        LockedNode state(*handle.node());
        const bool holds = operation != LOCK_UN;
        if (holds != handle.has_branch_lock())
            holds ? ++state->rare.make().branch_locks : --state->rare.make().branch_locks;
        handle.has_branch_lock() = holds;
    }
    return done.failed_with(EWOULDBLOCK) ? Status(Errno(EAGAIN)) : done;
}

}  // namespace plyfs::ops

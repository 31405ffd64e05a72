#include "fuse/kernel_cache.h"

#include "base/log.h"
#include "fuse/libfuse.h"
#include "sys/mounted.h"

namespace plyfs::fuse {
namespace {

Status status_of(int rc) {
    return rc == 0 ? Status() : Errno(-rc);
}

}  // namespace

// Expired and not taken away: what is mounted on it stays while it is still right.
Status SessionCache::expire_name(NodeId dir, std::string_view name) {
    return status_of(fuse_lowlevel_notify_expire_entry(session_, dir, name.data(), name.size()));
}

// By them the kernel decides of the content: by the size and the time of the last change, not of the status.
Status SessionCache::expire_attributes(NodeId id) {
    return status_of(fuse_lowlevel_notify_inval_inode(session_, id, -1, 0));
}

Status SessionCache::expire_object(NodeId id) {
    return status_of(fuse_lowlevel_notify_inval_inode(session_, id, 0, 0));
}

void SessionCache::abandon() {
    const auto done = sys::abort_mount(mountpoint_);
    if (!done) log::warn("{}: {}", mountpoint_, log::errno_text(done.error().value()));
}

}  // namespace plyfs::fuse

#include "fuse/passthrough.h"

#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/log.h"
#include "fuse/libfuse.h"
#include "node/tree.h"

// The kernel headers of Debian 12 do not have them; the kernel that runs may.
#ifndef FUSE_DEV_IOC_BACKING_OPEN
struct fuse_backing_map {
    std::int32_t fd;
    std::uint32_t flags;
    std::uint64_t padding;
};
#define FUSE_DEV_IOC_BACKING_OPEN _IOW(229, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, std::uint32_t)
#endif

namespace plyfs::fuse {
namespace {

// libfuse's own wrapper logs each failure and loses errno.
Result<std::int32_t> backing_open(fuse_session* session, int fd) {
    struct fuse_backing_map map = {};
    map.fd = fd;
    const int id = ::ioctl(fuse_session_fd(session), FUSE_DEV_IOC_BACKING_OPEN, &map);
    if (id < 0) return Errno::last();
    return id;
}

void backing_close(fuse_session* session, std::int32_t id) {
    auto raw = static_cast<std::uint32_t>(id);
    // ENOTCONN or EBADF while the mount goes away: the kernel has let go of all ids by itself.
    if (::ioctl(fuse_session_fd(session), FUSE_DEV_IOC_BACKING_CLOSE, &raw) != 0) {
        log::debug("closing backing id {}: {}", id, log::errno_text(errno));
    }
}

// A file that is nobody's branch tells "this file" from "nothing at all" refused.
bool kernel_refuses_us(fuse_session* session) {
    UniqueFd probe(::memfd_create("plyfs-probe", MFD_CLOEXEC));
    if (!probe.valid()) return false;
    auto id = backing_open(session, probe.get());
    if (id) backing_close(session, *id);
    return id.failed_with(EPERM);
}

}  // namespace

void PassthroughRegistrar::enable(fuse_session* session) {
    closing_.store(session, std::memory_order_release);
    session_.store(session, std::memory_order_release);
}

Result<std::int32_t> PassthroughRegistrar::open(BorrowedFd fd) {
    fuse_session* session = session_.load(std::memory_order_acquire);
    if (!session) return Errno(EPERM);
    auto id = backing_open(session, fd.get());
    if (id.failed_with(EPERM) && kernel_refuses_us(session)) session_.store(nullptr, std::memory_order_release);
    return id;
}

void PassthroughRegistrar::close(std::int32_t id) {
    fuse_session* session = closing_.load(std::memory_order_acquire);
    if (!session) return;
    backing_close(session, id);
    counters_.backings_closed.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace plyfs::fuse

#include "ops/protection.h"

#include <fcntl.h>

namespace plyfs::ops {
namespace {

sys::Protection protection_of(const NodeRef& node) {
    return LockedNode(*node)->protection;
}

Status forbidden_if(bool forbidden) {
    return forbidden ? Status(Errno(EPERM)) : Status();
}

// utimes(2) without times: whoever may write may do that.
bool touches(const AttrChange& change) {
    const auto is_now = [](const auto& time) { return time && time->tv_nsec == UTIME_NOW; };
    return is_now(change.atime) && is_now(change.mtime);
}

}  // namespace

Status may_gain_name(const NodeRef& dir) {
    return forbidden_if(protection_of(dir).immutable);
}

Status may_lose_name(const NodeRef& dir) {
    return forbidden_if(protection_of(dir).any());
}

Status may_change(const NodeRef& node) {
    return forbidden_if(protection_of(node).any());
}

Status may_write(const sys::Protection& protection, int flags) {
    const bool appends = (flags & O_APPEND) && !(flags & O_TRUNC);
    return forbidden_if(protection.immutable || (protection.append_only && !appends));
}

Status may_set(const NodeRef& node, const AttrChange& change) {
    const auto protection = protection_of(node);
    if (change.mode || change.uid || change.gid) return forbidden_if(protection.any());
    if (change.size) return forbidden_if(protection.append_only || (protection.immutable && !change.by_handle));
    if (change.atime || change.mtime) return forbidden_if(touches(change) ? protection.immutable : protection.any());
    return {};
}

Status may_allocate(const NodeRef& node, int mode) {
    const auto protection = protection_of(node);
    return forbidden_if(protection.immutable || (protection.append_only && (mode & ~FALLOC_FL_KEEP_SIZE)));
}

Status may_receive_copy(const NodeRef& node) {
    return forbidden_if(protection_of(node).immutable);
}

}  // namespace plyfs::ops

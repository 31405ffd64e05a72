// What immutable and append-only forbid, asked before anything is changed or copied up: EPERM. This is about
// NodeState::protection alone; what else protects an object lies on its inode, and its file system enforces that.
// The rules are the kernel's own for an inode that has these flags.
#pragma once

#include "ops/attributes.h"

namespace plyfs::ops {

// A directory is to get one more name, or to lose one.
Status may_gain_name(const NodeRef& dir);
Status may_lose_name(const NodeRef& dir);
// An object is to have other extended attributes, or a name more or less.
Status may_change(const NodeRef& node);
// Opened with these flags, for writing.
Status may_write(const sys::Protection& protection, int flags);
Status may_set(const NodeRef& node, const AttrChange& change);
// By a descriptor that may be older than the flags: writing to it goes on.
Status may_allocate(const NodeRef& node, int mode);
Status may_receive_copy(const NodeRef& node);

}  // namespace plyfs::ops

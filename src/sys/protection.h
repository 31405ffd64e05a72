// Immutable and append-only, in the forms in which the kernel speaks of them: the attributes that statx shows, the
// flags of the inode flag ioctls and those of struct fsxattr.
#pragma once

#include <linux/fs.h>

#include "sys/stat.h"

namespace plyfs::sys {

struct Protection {
    bool immutable = false;
    bool append_only = false;

    static constexpr unsigned kFlags = FS_IMMUTABLE_FL | FS_APPEND_FL;
    static constexpr unsigned kXflags = FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND;

    static Protection of(const Stat& st) {
        return {(st.stx_attributes & STATX_ATTR_IMMUTABLE) != 0, (st.stx_attributes & STATX_ATTR_APPEND) != 0};
    }
    static Protection of_flags(unsigned flags) { return {(flags & FS_IMMUTABLE_FL) != 0, (flags & FS_APPEND_FL) != 0}; }
    static Protection of_xflags(unsigned xflags) {
        return {(xflags & FS_XFLAG_IMMUTABLE) != 0, (xflags & FS_XFLAG_APPEND) != 0};
    }
    unsigned flags() const { return (immutable ? FS_IMMUTABLE_FL : 0U) | (append_only ? FS_APPEND_FL : 0U); }
    unsigned xflags() const { return (immutable ? FS_XFLAG_IMMUTABLE : 0U) | (append_only ? FS_XFLAG_APPEND : 0U); }
    bool any() const { return immutable || append_only; }
    friend bool operator==(const Protection&, const Protection&) = default;
};

}  // namespace plyfs::sys

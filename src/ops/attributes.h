// Changing what stat shows, and extended attributes.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "ops/lookup.h"

namespace plyfs::ops {

struct AttrChange {
    std::optional<mode_t> mode;
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
    std::optional<std::uint64_t> size;
    std::optional<timespec> atime;  // tv_nsec may be UTIME_NOW
    std::optional<timespec> mtime;
    // The caller's write takes setuid, setgid and file capabilities away: FUSE_HANDLE_KILLPRIV_V2.
    // The kernel says so with a request of its own that changes nothing else, or along with a size or an owner.
    bool kill_privileges = false;
    bool by_handle = false;
};

// ESTALE for a new size while old readers hold the copied-up original: the kernel walks anew and comes back.
Result<Attr> setattr(Context& ctx, const Request& request, NodeId id, const AttrChange& change);

// Takes setuid, setgid and capabilities from a file on a branch as a write by the caller does; under the daemon's own
// credentials.
// setgid goes where the group may execute, and elsewhere unless the caller is in the group, as in the kernel's
// setattr_should_drop_sgid().
Status kill_privileges(Context& ctx, const sys::Caller& caller, BorrowedFd file, BranchIndex branch);

Result<std::string> readlink(Context& ctx, NodeId id);

// Names as the user of the mount knows them (overlay/marks.h). size 0 asks for the size.
Result<std::size_t> getxattr(Context& ctx, NodeId id, const char* name, std::span<std::byte> buffer);
Result<std::string> listxattr(Context& ctx, const Request& request, NodeId id);
Status setxattr(Context& ctx, const Request& request, NodeId id, const char* name, std::span<const std::byte> value,
                int flags);
Status removexattr(Context& ctx, const Request& request, NodeId id, const char* name);

}  // namespace plyfs::ops

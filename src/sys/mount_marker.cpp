#include "sys/mount_marker.h"

#include <string>

#include "sys/stat.h"
#include "sys/xattr.h"

namespace plyfs::sys {
namespace {

bool has_marker(BorrowedFd dir, const std::string& name) {
    if (get_xattr(dir, ("user.mergerfs." + name).c_str(), {})) return true;
    return stat_at(dir, *Name::parse(".mergerfs." + name)).has_value();
}

}  // namespace

MountMarker find_mount_marker(BorrowedFd dir) {
    if (has_marker(dir, "branch")) return MountMarker::branch;
    return has_marker(dir, "branch_mounts_here") ? MountMarker::awaits_branch : MountMarker::none;
}

}  // namespace plyfs::sys

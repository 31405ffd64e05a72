// What is mounted where, as /proc/self/mountinfo has it: asks no file system, so it can be asked of a dead mount.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace plyfs::sys {

struct MountedAt {
    std::uint64_t device = 0;
    std::string type;  // "ext4", "fuse.plyfs"
    std::string root;  // which of its directories is seen there; "/": all of it
};
// The last mount on a path; none: nothing is mounted there.
std::optional<MountedAt> find_mounted(const std::string& path);

// Whether that is read-only for everybody, the file system itself; not where only the mount is.
bool is_read_only_mount(const std::string& path);

// Everything that is mounted in our mount namespace, what lies on top after what it hides.
struct MountPoint {
    std::string path;
    std::string source;
    MountedAt mounted;
    std::string options;  // of the file system, as mountinfo writes them: commas are between them only
};
std::vector<MountPoint> mount_points();

// Where the kernel's overlayfs is mounted that has this directory as its upperdir or workdir; empty: none is seen that
// was given its absolute path.
std::string overlay_that_changes(const std::string& dir);

// The type of the file system with that device number ("fuse.sshfs"), wherever it is mounted; empty: it is nowhere.
std::string type_of_mounted(std::uint64_t device);

// Takes it out of the tree, whoever uses it (MNT_DETACH).
Status detach_mount(const std::string& path);

// The same, and all requests to it end (MNT_FORCE).
Status abort_mount(const std::string& path);

// How far the kernel reads ahead on the device of a mounted file system, for everybody.
Status set_read_ahead(std::uint64_t device, unsigned kib);

}  // namespace plyfs::sys

// The mounts of plyfs on this machine, and asking them. A mount is found in mountinfo, by its device's number, which
// its control socket is named after; those of other mount namespaces by their sockets alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace plyfs::ctl {

struct Mount {
    std::string path;  // the mountpoint; empty: in another mount namespace, or not known
    std::string type;  // "fuse.plyfs"
    std::string source;
    std::uint64_t device = 0;
    std::string root = "/";  // which of its directories is seen there, as by a bind mount
    std::string socket;      // empty: there is none
};

// Each once, where it was mounted first.
std::vector<Mount> find_mounts();
// Those that somebody means who names a mountpoint, a path inside one, or nothing: then all. Throws Failure when there
// is none.
std::vector<Mount> mounts_named(const std::vector<std::string>& arguments);
Mount mount_of(const std::string& path);
// The same for who wants to change something on the branches: Failure where the mount is read-only.
Mount writable_mount_of(const std::string& path);
Mount mount_served_by(int pid);
// The mount that a name lies in, and its path there; the name itself need not exist.
struct InMount {
    Mount mount;
    std::string path;
};
InMount locate(const std::string& path);

// Without symbolic links and dots; none, and errno says why, where something of it is not there.
std::optional<std::string> real_path(const std::string& path);

// A branch as somebody names it, as the mount has it: absolute, without slashes at the end.
std::string branch_path(const std::string& written);

// What the mount says to it. Throws Failure when it can not be asked or says nothing within some seconds, if that is as
// long as it may take; Refused when it refuses, Ended when its daemon ends meanwhile.
enum class Patience { seconds, endless };
Json ask(const Mount& mount, const Json& request, Patience patience = Patience::seconds);
Json ask(const Mount& mount, const char* command);
// Of the daemon that there is, or the one after it: what may be asked twice.
Json ask_any(const Mount& mount, const Json& request);

}  // namespace plyfs::ctl

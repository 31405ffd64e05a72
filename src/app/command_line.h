// From argv to a Config. Three callers share it, told apart by the program's own name: a person (`plyfs [-fd]
// [-o OPTIONS] BRANCHES MOUNTPOINT`, or `plyfs NAME [MOUNTPOINT]` for a file in /etc/plyfs), mount(8) (`mount.plyfs
// SPEC DIR [-sfnv] [-N ns] [-o OPTIONS] [-t TYPE]`, where only it says remount), and container engines that know
// fuse-overlayfs (`fuse-overlayfs
// [-fd] [-o OPTIONS]... [WORDS] MOUNTPOINT`). Reads the configuration file and nothing else of the machine; never
// relies on PATH.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/remount_words.h"
#include "config/config.h"
#include "config/config_file.h"
#include "config/error.h"

namespace plyfs::app {

enum class Action { mount, fake, remount, fake_remount, help, version };

struct Invocation {
    std::vector<std::string> argv;  // with the program's name first, if there is one
    std::string cwd;                // absolute
    bool root = false;
    // What the environment says that fuse-overlayfs reads; as options, before all others.
    std::vector<std::string> environment_options;
    std::string config_folder = config::kConfigFolder;
};
// What this process was started with.
Invocation find_invocation(int argc, char** argv);

struct Command {
    Action action = Action::mount;  // fake: everything but the mount itself (mount -f)
    config::Config config;          // not looked at for help and version
    RemountWords remount;           // of remount, which has nothing in config but the mountpoint
    std::vector<std::string> notices;
    std::string mount_namespace;  // to enter before validate() looks at directories; empty: stay
};

// Throws config::Error (ExitCode::usage) with every fault.
Command parse_command_line(const Invocation& invocation);

// Whether the name is one that mount(8) calls: mount.plyfs or mount.fuse.plyfs, with any path before it.
bool is_mount_helper(std::string_view program);
// fuse-overlayfs, or fuse-overlayfs-ANYTHING as distributions name one of several versions.
bool is_drop_in(std::string_view program);
// What messages begin with: "plyfs" or "fuse-overlayfs".
const char* program_name(const std::vector<std::string>& argv);

}  // namespace plyfs::app

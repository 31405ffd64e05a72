// A machine's fstab and mount helpers, for one test: in its mount namespace, with a private /etc/fstab and a private
// layer over the folder of the mount helpers.
#pragma once

#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

namespace plyfs::test {

inline std::string helper_folder() {
    char resolved[4096];
    REQUIRE(::realpath("/sbin", resolved) != nullptr);
    return resolved;
}

inline std::string mount_tool() {
    return exists("/usr/bin/mount") ? "/usr/bin/mount" : "/bin/mount";
}

// PATH empty, nothing else in the environment: what systemd and initramfs-tools give.
inline Ran bare(const std::vector<std::string>& argv) {
    std::vector<std::string> all{"/usr/bin/env", "-i", "PATH="};
    all.insert(all.end(), argv.begin(), argv.end());
    return run(all, 60);
}

struct FstabGround {
    FstabGround()
        : disk("ext4", scratch.path(), "disk", 64),
          second("ext4", scratch.path(), "second", 64),
          space("tmpfs", scratch.path(), "space", 16) {
        if (is_standin()) skip("about plyfs itself");
        if (!exists(mount_tool())) skip("no mount(8) here");
        for (std::string name : {"a", "low", "up", "work"}) disk.dir(name);
        second.dir("a");
        for (std::string name : {"pool", "layers", "merge"}) scratch.dir(name);
        // The helper appears beside the system's own, for this namespace only.
        std::string upper = space.dir("upper"), work = space.dir("work");
        for (std::string name : {"mount.plyfs", "mount.fuse.plyfs"})
            OK(::symlink(plyfs_binary().c_str(), (upper + "/" + name).c_str()));
        helpers = Mounted("overlay", helper_folder(), "overlay", 0,
                          "lowerdir=" + helper_folder() + ",upperdir=" + upper + ",workdir=" + work);
    }
    void fstab(const std::string& lines) {
        write_file(scratch / "fstab", lines);
        private_fstab.reset();
        if (!exists("/etc/fstab")) skip("no /etc/fstab to put a private one over");
        private_fstab = Mounted(scratch / "fstab", "/etc/fstab", "", MS_BIND, "");
    }
    std::string transport() const { return "transport=" + wanted_transport(); }

    Scratch scratch;
    LoopFs disk, second, space;
    Mounted helpers, private_fstab;
};

}  // namespace plyfs::test

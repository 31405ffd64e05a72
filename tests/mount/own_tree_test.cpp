// A layer that the mountpoint, the upper and the work directory lie in, as with lowerdir=/.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

// A file system of its own whose mounts reach whatever shares it, as / is with systemd.
struct Ground {
    Ground() : disk("tmpfs", scratch.dir("root"), "tmpfs", 0, "size=8m"), root(disk.target()) {
        if (is_standin()) skip("about plyfs itself");
        OK(::mount("", root.c_str(), nullptr, MS_SHARED, nullptr));
        for (const char* name : {"etc", "var", "var/upper", "var/work", "mnt"}) {
            OK(::mkdir((root + "/" + name).c_str(), 0755));
        }
        write_file(root + "/etc/hosts", "below");
    }
    std::string options() const {
        return "lowerdir=" + root + ",upperdir=" + root + "/var/upper,workdir=" + root + "/var/work";
    }

    Scratch scratch;
    Mounted disk;
    std::string root;
};

}  // namespace

TEST_CASE("own tree: a layer may hold the mountpoint and what we write to") {
    Ground g;
    Mount mount(g.options(), "", g.root + "/mnt");
    CHECK(read_file(mount / "etc/hosts") == "below");
    write_file(mount / "etc/hosts", "above");
    CHECK(read_file(g.root + "/etc/hosts") == "below");
    CHECK(read_file(g.root + "/var/upper/etc/hosts") == "above");
    // The tree does not hold itself.
    CHECK(list_dir(mount / "mnt").empty());
    // Nor does it show as a layer's what is the copy of another object in it.
    for (const char* name : {"var/upper", "var/work"}) {
        struct stat st;
        FAILS(ELOOP, ::stat((mount / name).c_str(), &st));
    }
    CHECK(list_dir(mount / "var") == std::vector<std::string>{"upper", "work"});
}

TEST_CASE("own tree: mounts made later in such a layer do not appear in it") {
    Ground g;
    write_file(g.root + "/etc/passwd", "below");
    Mount mount(g.options(), "", g.root + "/mnt");
    {
        Mounted later("tmpfs", g.root + "/etc", "tmpfs", 0, "size=1m");
        CHECK(list_dir(g.root + "/etc").empty());
        CHECK(read_file(mount / "etc/passwd") == "below");
    }
    CHECK(read_file(mount / "etc/passwd") == "below");
}

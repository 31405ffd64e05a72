// Three lines of fstab, mounted with mount -a as a booting system does it: through mount.plyfs, with an empty
// PATH. In a mount namespace of its own, with a private /etc/fstab and a private layer over the folder of the
// mount helpers.
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

std::string helper_folder() {
    char resolved[4096];
    REQUIRE(::realpath("/sbin", resolved) != nullptr);
    return resolved;
}

std::string mount_tool() {
    return exists("/usr/bin/mount") ? "/usr/bin/mount" : "/bin/mount";
}

// PATH empty, nothing else in the environment: what systemd and initramfs-tools give.
Ran bare(const std::vector<std::string>& argv) {
    std::vector<std::string> all{"/usr/bin/env", "-i", "PATH="};
    all.insert(all.end(), argv.begin(), argv.end());
    return run(all, 60);
}

struct Ground {
    Ground()
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

}  // namespace

TEST_CASE("fstab: a pool, layers and a read-only merge with mount -a") {
    Ground g;
    write_file(g.disk / "low/f", "from below");
    write_file(g.disk / "a/one", "1");
    write_file(g.second / "a/two", "2");
    g.fstab("# three of ours\n" + (g.disk / "a") + "=rw:" + (g.second / "a") + "=rw " + (g.scratch / "pool") +
            " plyfs defaults,nofail,_netdev,create=mfs,x-systemd.requires=/," + g.transport() + " 0 0\n" +  //
            "plyfs " + (g.scratch / "layers") + " plyfs nofail,noatime,lowerdir=" + (g.disk / "low") +
            ",upperdir=" + (g.disk / "up") + ",workdir=" + (g.disk / "work") + "," + g.transport() + " 0 0\n" +  //
            (g.disk / "a") + "=ro:" + (g.disk / "low") + "=ro " + (g.scratch / "merge") + " fuse.plyfs ro,user," +
            g.transport() + " 0 0\n");
    Ran ran = bare({mount_tool(), "-a"});
    INFO(ran.out, ran.err);
    REQUIRE(ran.code == 0);
    {
        Mount pool = Mount::adopt(g.scratch / "pool"), layers = Mount::adopt(g.scratch / "layers"),
              merge = Mount::adopt(g.scratch / "merge");
        CHECK(list_dir(pool.path()) == std::vector<std::string>{"one", "two"});
        CHECK(read_file(layers / "f") == "from below");
        write_file(layers / "f", "changed");
        CHECK(read_file(g.disk / "low/f") == "from below");
        CHECK(read_file(g.disk / "up/f") == "changed");
        CHECK(list_dir(merge.path()) == std::vector<std::string>{"f", "one"});
        CHECK(try_open(merge / "f", O_RDWR) == EROFS);
        // Once more: everything is mounted, nothing happens.
        CHECK(bare({mount_tool(), "-a"}).code == 0);
        Ran listed = run({"findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", layers.path()});
        CHECK(listed.out.rfind("fuse.plyfs", 0) == 0);
        CHECK(std::count(listed.out.begin(), listed.out.end(), '\n') == 1);
        Ran merged = run({"findmnt", "-n", "-o", "OPTIONS", merge.path()});
        CHECK(merged.out.find("ro,") == 0);
        CHECK(merged.out.find("nosuid") != std::string::npos);  // said by "user"
        pool.unmount();
        layers.unmount();
        merge.unmount();
    }
}

TEST_CASE("fstab: lines of mergerfs, fuse-overlayfs and overlayfs are mounted as plyctl import writes them") {
    Ground g;
    write_file(g.disk / "low/f", "from below");
    write_file(g.disk / "a/one", "1");
    write_file(g.second / "a/two", "2");
    for (std::string name : {"up2", "work2"}) g.second.dir(name);
    const std::string layers = "lowerdir=" + (g.disk / "low") + ",upperdir=", more = "," + g.transport() + " 0 0\n";
    const std::pair<const char*, std::string> lines[] = {
        {"mergerfs", (g.disk / "a") + ":" + (g.second / "a") + " " + (g.scratch / "pool") +
                         " fuse.mergerfs cache.files=partial,dropcacheonclose=true,category.create=mfs,minfreespace=1M,"
                         "moveonenospc=true,use_ino,fsname=media,nofail" +
                         more},
        {"fuse-overlayfs", "overlay " + (g.scratch / "layers") + " fuse.fuse-overlayfs " + layers + (g.disk / "up") +
                               ",workdir=" + (g.disk / "work") + ",threaded=1" + more},
        {"overlay", "overlay " + (g.scratch / "merge") + " overlay " + layers + (g.second / "up2") +
                        ",workdir=" + (g.second / "work2") + ",xino=off" + more}};
    std::string table;
    for (const auto& [program, line] : lines) {
        write_file(g.scratch / "foreign", line);
        const Ran ran = run_plyctl({"import", program, "--fstab=" + (g.scratch / "foreign")});
        INFO(ran.out, ran.err);
        REQUIRE(ran.code == 0);
        table += ran.out;
    }
    g.fstab(table);
    const Ran ran = bare({mount_tool(), "-a"});
    INFO(table, ran.out, ran.err);
    REQUIRE(ran.code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool"), first = Mount::adopt(g.scratch / "layers"),
          second = Mount::adopt(g.scratch / "merge");
    CHECK(list_dir(pool.path()) == std::vector<std::string>{"one", "two"});
    CHECK(run({"findmnt", "-n", "-o", "SOURCE", pool.path()}).out == "media\n");
    CHECK(run_plyctl({"get", pool.path(), "category.create"}).out.find("mfs") != std::string::npos);
    write_file(first / "f", "changed");
    write_file(second / "g", "new");
    CHECK(read_file(g.disk / "up/f") == "changed");
    CHECK(read_file(g.second / "up2/g") == "new");
    CHECK(read_file(second / "f") == "from below");
}

TEST_CASE("fstab: helper words -s, -f, -v, and one mount point by name") {
    Ground g;
    std::string branches = (g.disk / "a") + "=rw";
    g.fstab(branches + " " + (g.scratch / "pool") + " plyfs noauto,users," + g.transport() + " 0 0\n");
    CHECK(bare({mount_tool(), "-a"}).code == 0);
    CHECK_FALSE(is_mounted(g.scratch / "pool"));
    CHECK(bare({mount_tool(), "-f", g.scratch / "pool"}).code == 0);  // fake: everything but the mount
    CHECK_FALSE(is_mounted(g.scratch / "pool"));
    Ran ran = bare({mount_tool(), "-s", "-v", g.scratch / "pool"});
    INFO(ran.out, ran.err);
    CHECK(ran.code == 0);
    REQUIRE(is_mounted(g.scratch / "pool"));
    Mount pool = Mount::adopt(g.scratch / "pool");
    CHECK(bare({mount_tool(), "--version"}).code == 0);
    Ran gone = bare({exists("/usr/bin/umount") ? "/usr/bin/umount" : "/bin/umount", g.scratch / "pool"});
    CHECK(gone.code == 0);
    CHECK_FALSE(is_mounted(g.scratch / "pool"));
    CHECK(eventually([&] { return !is_alive(pool.pid()); }));
}

TEST_CASE("fstab: a line that can not be mounted fails as mount(8) says, and the others are mounted") {
    Ground g;
    g.fstab((g.disk / "never") + "=rw " + (g.scratch / "pool") + " plyfs " + g.transport() + " 0 0\n" +  //
            (g.disk / "a") + "=rw " + (g.scratch / "merge") + " plyfs " + g.transport() + " 0 0\n");
    Ran ran = bare({mount_tool(), "-a"});
    INFO(ran.out, ran.err);
    CHECK((ran.code == 32 || ran.code == 64));  // 64: some mounts succeeded
    CHECK(ran.err.find(g.disk / "never") != std::string::npos);
    CHECK_FALSE(is_mounted(g.scratch / "pool"));
    REQUIRE(is_mounted(g.scratch / "merge"));
    Mount merge = Mount::adopt(g.scratch / "merge");
}

TEST_CASE("fstab: a remount is refused and says what can be done, and that can be") {
    Ground g;
    g.fstab((g.disk / "a") + "=rw " + (g.scratch / "pool") + " plyfs " + g.transport() + " 0 0\n");
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    const Ran refused = bare({mount_tool(), "-o", "remount,create=ff", pool.path()});
    INFO(refused.out, refused.err);
    CHECK(refused.code == 1);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
    CHECK(refused.err.find("remount,bind,ro") != std::string::npos);
    CHECK(refused.err.find("user.plyfs.OPTION") != std::string::npos);
    write_file(pool / "f", "still there");

    must_run({"setfattr", "-n", "user.plyfs.minfreespace", "-v", "1M", pool / ".plyfs"});
    const Ran bound = bare({mount_tool(), "-o", "remount,bind,ro", pool.path()});
    INFO(bound.err);
    CHECK(bound.code == 0);
    CHECK(try_open(pool / "f", O_RDWR) == EROFS);
    CHECK(read_file(pool / "f") == "still there");
}

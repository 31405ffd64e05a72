// Three lines of fstab, mounted with mount -a as a booting system does it: through mount.plyfs, with an empty
// PATH.
#include <algorithm>

#include "mount/fstab_ground.h"
#include "support/plyctl.h"

using namespace plyfs::test;

TEST_CASE("fstab: a pool, layers and a read-only merge with mount -a") {
    FstabGround g;
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
    FstabGround g;
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
    FstabGround g;
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

TEST_CASE("fstab: what is mounted already is not mounted on itself, also where mount(8) does not know it again") {
    FstabGround g;
    g.fstab((g.disk / "a") + "=rw " + (g.scratch / "pool") + " plyfs fsname=disks," + g.transport() + " 0 0\n");
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    const Ran again = bare({mount_tool(), g.scratch / "pool"});
    INFO(again.err);
    CHECK(again.code == 32);
    CHECK(again.err.find("mounted there already") != std::string::npos);
    const Ran listed = run({"findmnt", "-n", "-o", "TARGET", pool.path()});
    CHECK(std::count(listed.out.begin(), listed.out.end(), '\n') == 1);
}

TEST_CASE("fstab: a line that can not be mounted fails as mount(8) says, and the others are mounted") {
    FstabGround g;
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

// mount -o remount, as mount(8) hands it on: with the words of fstab, or of mountinfo where fstab has none.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>

#include "mount/fstab_ground.h"
#include "support/plyctl.h"

using namespace plyfs::test;

namespace {

Ran remount(const std::string& options, const std::string& mountpoint) {
    return bare({mount_tool(), "-o", options.empty() ? "remount" : "remount," + options, mountpoint});
}

std::string flags_of(const std::string& mountpoint) {
    return run({"findmnt", "-n", "-o", "VFS-OPTIONS", mountpoint}).out;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

bool is_one_line(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n') == 1;
}

struct RemountGround : FstabGround {
    std::string pool_line(const std::string& options) const {
        return (disk / "a") + "=rw:" + (second / "a") + "=rw " + (scratch / "pool") + " plyfs " + options + "," +
               transport() + " 0 0\n";
    }
    std::string layers_line(const std::string& options) const {
        return "plyfs " + (scratch / "layers") + " plyfs lowerdir=" + (disk / "low") + ",upperdir=" + (disk / "up") +
               ",workdir=" + (disk / "work") + "," + options + "," + transport() + " 0 0\n";
    }
};

}  // namespace

TEST_CASE("remount: ro and rw of a pool, with a line in fstab and without") {
    RemountGround g;
    g.fstab(g.pool_line("nofail,create=mfs,noatime"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    write_file(pool / "f", "here");
    for (const bool line : {true, false}) {
        CAPTURE(line);
        if (!line) g.fstab("");
        const Ran ro = remount("ro", pool.path());
        INFO(ro.out, ro.err);
        REQUIRE(ro.code == 0);
        CHECK(ro.err.empty());
        CHECK(has(flags_of(pool.path()), "ro"));
        CHECK(has(flags_of(pool.path()), "noatime"));
        CHECK(try_open(pool / "f", O_RDWR) == EROFS);
        CHECK(read_file(pool / "f") == "here");
        const Ran rw = remount("rw", pool.path());
        INFO(rw.err);
        REQUIRE(rw.code == 0);
        write_file(pool / "f", "here");
    }
}

TEST_CASE("remount: layers become read-only, with other flags beside it, and writable again") {
    RemountGround g;
    write_file(g.disk / "low/f", "below");
    g.fstab(g.layers_line("nofail"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount layers = Mount::adopt(g.scratch / "layers");
    const Ran ro = remount("ro,noexec,nosuid", layers.path());
    INFO(ro.out, ro.err);
    REQUIRE(ro.code == 0);
    for (const char* flag : {"ro", "noexec", "nosuid"}) {
        CAPTURE(flag);
        CHECK(has(flags_of(layers.path()), flag));
    }
    CHECK(try_open(layers / "f", O_RDWR) == EROFS);
    REQUIRE(remount("rw", layers.path()).code == 0);
    CHECK_FALSE(has(flags_of(layers.path()), "noexec"));  // fstab does not have it
    write_file(layers / "f", "above");
    CHECK(read_file(g.disk / "up/f") == "above");
}

TEST_CASE("remount: ro waits for nobody who writes, and says so") {
    RemountGround g;
    g.fstab(g.pool_line("create=mfs"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    const UniqueFd writer = open_file(pool / "f", O_RDWR | O_CREAT);
    const Ran busy = remount("ro,create=ff", pool.path());
    INFO(busy.err);
    CHECK(busy.code == 32);
    CHECK(is_one_line(busy.err));
    CHECK(has(busy.err, "open for writing"));
    CHECK(has(flags_of(pool.path()), "rw"));
    CHECK(run_plyctl({"get", pool.path(), "create"}).out == "mfs\n");  // nothing of it
}

TEST_CASE("remount: what fstab says otherwise by now is set where that can be, or all is refused") {
    RemountGround g;
    g.fstab(g.pool_line("create=mfs,minfreespace=1M,nofail"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    g.fstab(g.pool_line("create=ff,minfreespace=1M,nofail"));
    const Ran live = remount("", pool.path());
    INFO(live.out, live.err);
    REQUIRE(live.code == 0);
    CHECK(run_plyctl({"get", pool.path(), "create"}).out == "ff\n");

    g.fstab(g.pool_line("create=mfs,minfreespace=1M,passthrough=off,nofail"));
    const Ran refused = remount("ro", pool.path());
    INFO(refused.out, refused.err);
    CHECK(refused.code == 1);
    CHECK(is_one_line(refused.err));
    CHECK(has(refused.err, "passthrough"));
    CHECK(has(refused.err, "unmount"));
    CHECK(has(flags_of(pool.path()), "rw"));
    CHECK(run_plyctl({"get", pool.path(), "create"}).out == "ff\n");

    const Ran unknown = remount("creat=mfs", pool.path());
    INFO(unknown.err);
    CHECK(unknown.code == 1);
    CHECK(has(unknown.err, "did you mean 'create'?"));
    CHECK(bare({mount_tool(), "-s", "-o", "remount,creat=mfs", g.scratch / "pool"}).code == 1);  // passthrough=off
    g.fstab("");
    CHECK(bare({mount_tool(), "-s", "-o", "remount,creat=mfs", g.scratch / "pool"}).code == 0);
    const Ran fake = bare({mount_tool(), "-f", "-o", "remount,ro,create=mfs", g.scratch / "pool"});
    CHECK(fake.code == 0);
    CHECK(has(flags_of(pool.path()), "rw"));
    CHECK(run_plyctl({"get", pool.path(), "create"}).out == "ff\n");
}

TEST_CASE("remount: a mount that was made read-only stays so, and says how it would not") {
    RemountGround g;
    g.fstab(g.layers_line("ro"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount layers = Mount::adopt(g.scratch / "layers");
    CHECK(remount("noexec", layers.path()).code == 0);
    const Ran late = remount("noatime", layers.path());
    CHECK(late.code == 0);
    CHECK(has(late.err, "mount again for noatime"));
    const Ran refused = remount("rw", layers.path());
    INFO(refused.err);
    CHECK(refused.code == 1);
    CHECK(is_one_line(refused.err));
    CHECK(has(refused.err, "mount it again"));
    CHECK(has(flags_of(layers.path()), "ro"));
}

TEST_CASE("remount: a value that is none is refused, also of an option that is as it was") {
    RemountGround g;
    g.fstab(g.pool_line("create=mfs"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    for (const char* option : {"statfs=bogus", "create=zz", "passthrough=bogus", "minfreespace=", "entry_timeout=x",
                               "noexec=perhaps", "noexec,category.search=bogus"}) {
        CAPTURE(option);
        const Ran ran = remount(option, pool.path());
        INFO(ran.err);
        CHECK(ran.code == 1);
        CHECK(is_one_line(ran.err));
        CHECK_FALSE(has(flags_of(pool.path()), "noexec"));
    }
    CHECK(remount("noexec=true,suid=off", pool.path()).code == 0);
    CHECK(has(flags_of(pool.path()), "noexec"));
    CHECK(has(flags_of(pool.path()), "nosuid"));
}

TEST_CASE("remount: other branches in fstab than the mount has are refused, and say what changes them") {
    RemountGround g;
    g.fstab(g.pool_line("create=mfs"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    g.fstab((g.disk / "a") + "=ro:" + (g.second / "a") + "=rw " + (g.scratch / "pool") + " plyfs create=mfs," +
            g.transport() + " 0 0\n");
    const Ran ran = remount("noexec", pool.path());
    INFO(ran.err);
    CHECK(ran.code == 1);
    CHECK(is_one_line(ran.err));
    CHECK(has(ran.err, "plyctl branch"));
    CHECK_FALSE(has(flags_of(pool.path()), "noexec"));
}

TEST_CASE("remount: what is read-only without a word in fstab stays so, and can be remounted") {
    RemountGround g;
    write_file(g.scratch / "file.yaml", "branches: [" + (g.disk / "a") + "]\nro: true\nsuid: false\n");
    g.fstab("plyfs " + (g.scratch / "pool") + " plyfs config=" + (g.scratch / "file.yaml") + "," + g.transport() +
            " 0 0\n" + (g.disk / "low") + "=ro " + (g.scratch / "merge") + " plyfs " + g.transport() + " 0 0\n");
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool"), merge = Mount::adopt(g.scratch / "merge");
    for (const Mount* mount : {&pool, &merge}) {
        const Ran ran = remount("noexec", mount->path());
        INFO(ran.err);
        CHECK(ran.code == 0);
        CHECK(has(ran.err, "stays read-only"));
        CHECK(has(flags_of(mount->path()), "ro"));
        CHECK(has(flags_of(mount->path()), "noexec"));
    }
    CHECK(has(flags_of(pool.path()), "nosuid"));
}

TEST_CASE("remount: sync and nosymfollow stay, and sync can not be had later") {
    RemountGround g;
    write_file(g.scratch / "file.yaml", "branches: [" + (g.disk / "a") + "]\nsymfollow: false\n");
    g.fstab("plyfs " + (g.scratch / "pool") + " plyfs sync,config=" + (g.scratch / "file.yaml") + "," + g.transport() +
            " 0 0\n" + g.layers_line("nosymfollow"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool"), layers = Mount::adopt(g.scratch / "layers");
    for (const Mount* mount : {&pool, &layers}) {
        const Ran ran = remount("noexec", mount->path());
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        CHECK(has(flags_of(mount->path()), "noexec"));
        CHECK(has(flags_of(mount->path()), "nosymfollow"));
    }
    CHECK(has(run({"findmnt", "-n", "-o", "OPTIONS", pool.path()}).out, "sync"));
    const Ran late = remount("sync", layers.path());
    INFO(late.err);
    CHECK(late.code == 1);
    CHECK(has(late.err, "unmount"));
}

TEST_CASE("remount: read-only, plyctl changes nothing on the branches either") {
    RemountGround g;
    g.fstab(g.pool_line("create=ff"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    write_file(pool / "f", "here");
    REQUIRE(remount("ro", pool.path()).code == 0);
    const TreeDigest before = TreeDigest::of(g.disk / "a"), second = TreeDigest::of(g.second / "a");
    for (const std::vector<std::string>& words : {std::vector<std::string>{"drain", pool.path(), g.disk / "a"},
                                                  {"dup", pool.path()},
                                                  {"dedup", pool.path()},
                                                  {"balance", pool.path()},
                                                  {"fsck", "--fix", pool.path()},
                                                  {"explain", "--create", pool / "new"}}) {
        CAPTURE(words[0]);
        const Ran ran = run_plyctl(words);
        INFO(ran.out, ran.err);
        CHECK(ran.code == 1);
        CHECK(has(ran.err, "read-only"));
    }
    CHECK(before.difference(TreeDigest::of(g.disk / "a")) == "");
    CHECK(second.difference(TreeDigest::of(g.second / "a")) == "");
    CHECK(has(run_plyctl({"status", pool.path()}).out, "read-only"));
    REQUIRE(remount("rw", pool.path()).code == 0);
    CHECK(run_plyctl({"dup", pool.path()}).code == 0);
}

TEST_CASE("remount: between two daemons it waits for the next") {
    RemountGround g;
    if (wanted_transport() == "io_uring") skip("there is no next daemon over io_uring");
    g.fstab(g.pool_line("create=ff,supervise=on"));
    REQUIRE(bare({mount_tool(), "-a"}).code == 0);
    Mount pool = Mount::adopt(g.scratch / "pool");
    for (int i = 0; i < 3; ++i) {
        const std::string pid = run_plyctl({"get", pool.path(), "pid"}).out;
        OK(::kill(std::stoi(pid), SIGKILL));
        const Ran ran = remount(i % 2 == 0 ? "noexec" : "exec", pool.path());
        INFO(ran.err);
        CHECK(ran.code == 0);
    }
}

TEST_CASE("remount: of what is no mount of ours is refused") {
    RemountGround g;
    const std::string helper = helper_folder() + "/mount.plyfs";
    for (const auto& place : {g.scratch / "pool", g.disk.path(), g.scratch / "nowhere"}) {
        CAPTURE(place);
        const Ran ran = bare({helper, "plyfs", place, "-o", "rw,remount"});
        INFO(ran.err);
        CHECK(ran.code == 32);
        CHECK(is_one_line(ran.err));
        CHECK(has(ran.err, "nothing of plyfs is mounted there"));
    }
    const Ran person = bare({plyfs_binary(), "-o", "remount,ro", g.disk / "a", g.scratch / "pool"});
    INFO(person.err);
    CHECK(person.code == 1);
    CHECK(has(person.err, "mount -o remount"));
}

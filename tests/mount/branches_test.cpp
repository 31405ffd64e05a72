// Branches as they are written, those that are not there when a pool is mounted, and those that go and come.
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

using namespace plyfs::test;

namespace {

using namespace std::chrono_literals;

struct Ground {
    Ground() {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("file systems that come and go");
        for (std::string name : {"a", "b", "c"}) scratch.dir(name);
        mnt = scratch.dir("mnt");
    }
    std::string operator/(const std::string& name) const { return scratch.path() + "/" + name; }
    Ran start(const std::string& options, const std::string& branches) {
        return run_plyfs({"-o", "transport=" + wanted_transport() + "," + options, branches, mnt});
    }
    Scratch scratch;
    std::string mnt;
};

bool within(std::chrono::seconds limit, const std::function<bool()>& holds) {
    for (const auto latest = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < latest;) {
        if (holds()) return true;
        std::this_thread::sleep_for(50ms);
    }
    return holds();
}

}  // namespace

TEST_CASE("branches: patterns and several words") {
    Ground g;
    for (std::string name : {"disk1", "disk2", "disk3"}) g.scratch.dir(name);
    write_file(g / "disk.txt", "x");
    const Ran ran = g.start("create=ff", g / "disk*=NC");
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK(ran.err.find("disk.txt fits") != std::string::npos);
    {
        Mount mount = Mount::adopt(g.mnt);
        const Stats stats = mount.stats();
        CHECK(stats.text("branch.0.path") == g / "disk1");
        CHECK(stats.text("branch.2.path") == g / "disk3");
        CHECK(stats.text("branch.1.mode") == "nc");
    }
    g.scratch.dir("odd*[1]:x,y=z");
    const Ran words = run_plyfs({"-o", "transport=" + wanted_transport() + ",create=ff",
                                 g / "odd\\*\\[1\\]\\:x,y\\=z=RW,1%", g / "disk[12]", g / "a:" + (g / "b"), g.mnt});
    INFO(words.err);
    REQUIRE(words.code == 0);
    Mount mount = Mount::adopt(g.mnt);
    write_file(mount / "f", "x");
    CHECK(read_file(g / "odd*[1]:x,y=z/f") == "x");
    CHECK(mount.stats().text("branch.2.path") == g / "disk2");
    CHECK(mount.stats().text("branch.4.path") == g / "b");
}

TEST_CASE("branches: one whose directory is removed takes no name of another one with it") {
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    const std::string a = scratch.dir("a"), b = scratch.dir("b");
    write_file(a + "/x", "");
    write_file(a + "/y", "");
    Mount mount("minfreespace=0", a + ":" + b, scratch.dir("mnt"));
    CHECK(list_dir(mount.path()).size() == 2);
    OK(::rmdir(b.c_str()));
    CHECK(list_dir(mount.path()).size() == 2);
}

TEST_CASE("branches: what a killed pool was preparing is gone at the next mount, what another prepares is not") {
    Ground g;
    for (std::string work : {"a/.plyfs.work", "b/.plyfs.work", "b/.plyfs.work1"}) {
        make_dirs(g / work);
        write_file(g / (work + "/#1"), "left");
    }
    const UniqueFd other = open_file(g / "b/.plyfs.work", O_RDONLY | O_DIRECTORY);
    OK(::flock(other.get(), LOCK_EX));
    const Ran ran = g.start("create=ff", (g / "a") + ":" + (g / "b"));
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(g.mnt);
    CHECK(list_dir(g / "a").empty());
    CHECK(list_dir(g / "b") == std::vector<std::string>{".plyfs.work"});
    CHECK(exists(g / "b/.plyfs.work/#1"));
}

TEST_CASE("branches: one that is missing is refused or done without until it comes") {
    Ground g;
    const std::string later = g / "later";
    const std::string branches = later + ":" + (g / "a");
    CHECK(g.start("branches-missing=fail", branches).code == 32);
    CHECK_FALSE(is_mounted(g.mnt));
    const Ran ran = g.start("branches-missing=degraded,create=ff", branches);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK(ran.err.find(later) != std::string::npos);
    Mount mount = Mount::adopt(g.mnt);
    write_file(mount / "one", "1");
    CHECK(read_file(g / "a/one") == "1");
    CHECK(mount.stats().text("branch.0.present") == "no");
    make_dirs(later);
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "yes"; }));
    write_file(mount / "two", "2");
    CHECK(read_file(later + "/two") == "2");
    CHECK(read_file(mount / "one") == "1");
}

TEST_CASE("branches: a name of two lines is one in the account") {
    Ground g;
    const std::string forged = g / "x\nbranch.0.present no";
    make_dirs(forged);
    Mount mount("create=ff", forged + ":" + (g / "b"), g.mnt);
    CHECK(mount.stats().text("branch.0.present") == "yes");
    CHECK(mount.stats().text("branch.0.path").ends_with("x\\012branch.0.present no"));
}

TEST_CASE("branches: markers tell the disk from the place for it") {
    Ground g;
    write_file(g / "a/.mergerfs.branch_mounts_here", "");
    const std::string branches = (g / "a") + ":" + (g / "b");
    const Ran refused = g.start("", branches);
    CHECK(refused.code == 32);
    CHECK(refused.err.find("branch_mounts_here") != std::string::npos);
    const Ran ran = g.start("branches-missing=degraded,create=ff", branches);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(g.mnt);
    write_file(mount / "one", "1");
    CHECK(exists(g / "b/one"));
    Mounted disk("none", g / "a", "tmpfs", 0, "size=16M");
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "yes"; }));
    write_file(mount / "two", "2");
    CHECK(exists(g / "a/two"));
    // The marker below is seen again.
    disk.reset();
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "no"; }));
    write_file(mount / "three", "3");
    CHECK(exists(g / "b/three"));
    CHECK(list_dir(g / "a") == std::vector<std::string>{".mergerfs.branch_mounts_here"});
}

TEST_CASE("branches: waiting for a disk") {
    Ground g;
    write_file(g / "a/.mergerfs.branch_mounts_here", "");
    OK(::setxattr((g / "b").c_str(), "user.mergerfs.branch", "", 0, 0));
    const std::string branches = (g / "a") + ":" + (g / "b");
    const Ran late = g.start("branches-mount-timeout=1,branches-mount-timeout-fail", branches);
    CHECK(late.code == 32);
    CHECK(late.err.find(g / "a") != std::string::npos);
    const std::string target = g / "a";
    Child disk([&] {
        std::this_thread::sleep_for(700ms);
        return ::mount("none", target.c_str(), "tmpfs", 0, "size=16M") == 0 ? 0 : errno;
    });
    const Ran ran = g.start("branches-mount-timeout=15,create=ff", branches);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK(disk.wait() == 0);
    {
        Mount mount = Mount::adopt(g.mnt);
        CHECK(mount.stats().text("branch.0.present") == "yes");
        write_file(mount / "f", "x");
        CHECK(exists(g / "a/f"));
    }
    OK(::umount2(target.c_str(), MNT_DETACH));
    const Ran degraded = g.start("branches-missing=wait,branches-mount-timeout=0.5", branches);
    REQUIRE(degraded.code == 0);
    Mount mount = Mount::adopt(g.mnt);
    CHECK(mount.stats().text("branch.0.present") == "no");
}

TEST_CASE("branches: one that goes while mounted is not seen, and nothing waits for it") {
    Ground g;
    auto disk = std::make_unique<Mounted>("none", g / "a", "tmpfs", 0, "size=16M");
    make_dirs(g / "a/both/deep");
    make_dirs(g / "b/both");
    write_file(g / "a/both/on_a", "a");
    write_file(g / "a/only_a", "a");
    write_file(g / "b/both/on_b", "b");
    Mount mount("create=ff", (g / "a") + ":" + (g / "b"), g.mnt);
    CHECK(read_file(mount / "both/on_a") == "a");
    CHECK(read_file(mount / "only_a") == "a");
    UniqueFd open = open_file(mount / "only_a", O_RDONLY);
    OK(::umount2((g / "a").c_str(), MNT_DETACH));
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "no"; }));
    CHECK(within(10s, [&] { return list_dir(g.mnt) == std::vector<std::string>{"both"}; }));
    CHECK(within(10s, [&] { return try_open(mount / "only_a", O_RDONLY) == ENOENT; }));
    CHECK(list_dir(mount / "both") == std::vector<std::string>{"on_b"});
    CHECK(read_file(mount / "both/on_b") == "b");
    // What is open stays so.
    CHECK(read_fd(open.get()) == "a");
    write_file(mount / "both/new", "n");
    CHECK(exists(g / "b/both/new"));
    CHECK(list_dir(g / "a").empty());
    open = UniqueFd();

    disk->reset();
    Mounted again("none", g / "a", "tmpfs", 0, "size=16M");
    make_dirs(g / "a/both");
    write_file(g / "a/both/back", "back");
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "yes"; }));
    CHECK(within(10s, [&] { return try_open(mount / "both/back", O_RDONLY) == 0; }));
    CHECK(list_dir(mount / "both") == std::vector<std::string>{"back", "new", "on_b"});
    write_file(mount / "after", "x");
    CHECK(exists(g / "a/after"));
}

TEST_CASE("branches: one that goes is let go of") {
    Ground g;
    auto disk = std::make_unique<LoopFs>("ext4", g.scratch.path(), "disk", 32);
    const std::string path = disk->path();
    make_dirs(path + "/d");
    write_file(path + "/d/f", "x");
    const std::string device = run({"findmnt", "-no", "SOURCE", path}).out;
    Mount mount("create=ff", path + ":" + (g / "b"), g.mnt);
    CHECK(read_file(mount / "d/f") == "x");
    OK(::umount2(path.c_str(), MNT_DETACH));
    CHECK(within(10s, [&] { return mount.stats().text("branch.0.present") == "no"; }));
    // Nothing keeps the file system: its loop device detaches itself.
    const std::string backing = "/sys/block/" + device.substr(5, device.find('\n') - 5) + "/loop/backing_file";
    INFO(backing);
    CHECK(within(10s, [&] { return !exists(backing); }));
}

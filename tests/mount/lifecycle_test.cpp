// Beginning and end: the command returns when the mount answers, umount ends the daemon, a dead daemon leaves
// no harm.
#include <dirent.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// Processes of this sandbox other than the test itself and its init: there is nothing else in it.
std::vector<std::string> others_alive() {
    std::vector<std::string> found;
    for (const std::string& name : list_dir("/proc")) {
        char* end = nullptr;
        long pid = std::strtol(name.c_str(), &end, 10);
        if (*end != '\0' || pid == 1 || pid == ::getpid()) continue;
        char comm[64] = {};
        UniqueFd fd(::open(("/proc/" + name + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
        if (fd.valid() && ::read(fd.get(), comm, sizeof comm - 1) > 0) found.push_back(name + " " + comm);
    }
    return found;
}

}  // namespace

TEST_CASE("lifecycle: 200 mounts and unmounts leave no process") {
    Layers tree;
    write_file(tree.lower + "/f", pattern(300000));
    for (int i = 0; i < 200; i++) {
        tree.mount();
        // It answers at once; and in turn the end comes while it is idle, while it was just used, while data
        // is dirty.
        if (i % 2) REQUIRE(read_file(tree / "f").size() == 300000);
        if (i % 3 == 0) write_file(tree / "g", pattern(1000));
        tree.unmount();
    }
    CHECK(eventually([] { return others_alive().empty(); }));
    for (const std::string& process : others_alive()) FAIL_CHECK("left: " << process);
}

TEST_CASE("lifecycle: umount while it is busy is refused, a lazy one ends the daemon when the last user goes") {
    Layers tree;
    write_file(tree.lower + "/f", pattern(300000));
    tree.mount();
    pid_t daemon = tree.mounted().pid();
    UniqueFd fd = open_file(tree / "f", O_RDONLY);
    FAILS(EBUSY, ::umount(tree.mnt().c_str()));
    OK(::umount2(tree.mnt().c_str(), MNT_DETACH));
    CHECK(read_fd(fd.get()) == pattern(300000));
    if (is_standin()) return;
    CHECK(is_alive(daemon));
    fd.reset();
    CHECK(eventually([&] { return !is_alive(daemon); }));
}

TEST_CASE("lifecycle: a mount that works says nothing") {
    Pool pool;
    const Ran ran = run_plyfs({"-o", "transport=" + wanted_transport(), pool.a + ":" + pool.b, pool.mnt()});
    CHECK(ran.ok());
    CHECK(ran.out + ran.err == "");
    const Mount mount = Mount::adopt(pool.mnt());
}

TEST_CASE("lifecycle: -v says with what it is mounted") {
    const std::string transport = wanted_transport();
    for (const std::string supervise : {"off", "on"}) {
        if (supervise == "on" && transport == "io_uring") continue;
        Pool pool;
        const std::string options = "supervise=" + supervise + ",transport=" + transport;
        const Ran ran = run_plyfs({"-v", "-o", options, pool.a + ":" + pool.b, pool.mnt()});
        CHECK(ran.ok());
        const std::string said = ": mounted on " + pool.mnt() + ": transport " + transport + " (asked for)";
        CHECK_MESSAGE(ran.err.find(said) != std::string::npos, ran.err);
        const Mount mount = Mount::adopt(pool.mnt());
    }
}

TEST_CASE("lifecycle: umount waits for nothing and the daemon ends at once") {
    if (is_standin()) skip("about plyfs itself");
    using Clock = std::chrono::steady_clock;
    Layers tree;
    for (int i = 0; i < 500; i++) write_file(tree.lower + "/" + std::to_string(i), "f");
    Clock::duration best = std::chrono::hours(1);  // others may want the processor
    for (int i = 0; i < 8; i++) {
        tree.mount();
        for (int f = 0; f < 500; f++) write_file(tree / std::to_string(f), "g");
        const pid_t daemon = tree.mounted().pid();
        const auto began = Clock::now();
        OK(::umount2(tree.mnt().c_str(), UMOUNT_NOFOLLOW));
        REQUIRE(eventually([&] { return !is_alive(daemon); }));
        best = std::min(best, Clock::now() - began);
        tree.unmount();
    }
    CHECK(best < std::chrono::milliseconds(200));
}

TEST_CASE("lifecycle: mounted again as soon as umount returns") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    write_file(tree.lower + "/f", "f");
    for (int i = 0; i < 50; i++) {
        const Ran ran = run_plyfs({"-o", tree.options() + ",transport=" + wanted_transport(), tree.mnt()});
        INFO(i, ": ", ran.err);
        REQUIRE(ran.code == 0);
        write_file(tree / "f", std::to_string(i));
        OK(::umount2(tree.mnt().c_str(), UMOUNT_NOFOLLOW));
    }
}

TEST_CASE("lifecycle: what the layers lie on can be unmounted as soon as umount returns") {
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    const std::string disk = scratch.dir("disk"), mnt = scratch.dir("mnt");
    for (int i = 0; i < 30; i++) {
        Mounted below("tmpfs", disk, "tmpfs", 0, "mode=755");
        const std::string place = disk + "/a longer name than most";
        OK(::mkdir(place.c_str(), 0755));
        for (const char* name : {"lower", "upper", "work"}) OK(::mkdir((place + "/" + name).c_str(), 0755));
        for (int f = 0; f < 20; f++) write_file(place + "/lower/" + std::to_string(f), "f");
        Mount layers("lowerdir=" + place + "/lower,upperdir=" + place + "/upper,workdir=" + place + "/work", "", mnt);
        for (int f = 0; f < 20; f++) write_file(layers / std::to_string(f), "g");
        OK(::umount2(mnt.c_str(), UMOUNT_NOFOLLOW));
        INFO(i);
        OK(::umount2(disk.c_str(), UMOUNT_NOFOLLOW));
    }
}

TEST_CASE(
    "lifecycle: a killed daemon leaves ENOTCONN, open files of the kernel, and a mount that can be taken "
    "away") {
    if (is_standin()) skip("about plyfs itself");
    in_both_modes([](Tree& tree) { write_file(tree.below() + "/f", pattern(300000)); },
                  [](Tree& tree) {
                      pid_t daemon = tree.mounted().pid();
                      UniqueFd fd = open_file(tree / "f", O_RDONLY);
                      UniqueFd out = open_file(tree / "g", O_CREAT | O_RDWR);
                      OK(::kill(daemon, SIGKILL));
                      CHECK(eventually([&] { return !is_alive(daemon); }));
                      CHECK(eventually([&] { return try_open(tree / "new", O_CREAT | O_WRONLY) == ENOTCONN; }));
                      FAILS(ENOTCONN, ::mkdir((tree / "d").c_str(), 0755));
                      // What is passed through goes on without the daemon.
                      CHECK(read_fd(fd.get()) == pattern(300000));
                      CHECK(::pwrite(out.get(), "x", 1, 0) == 1);
                      fd.reset();
                      out.reset();
                      CHECK(::umount2(tree.mnt().c_str(), UMOUNT_NOFOLLOW) == 0);
                      CHECK_FALSE(is_mounted(tree.mnt()));
                      tree.mount();  // and everything is there
                      CHECK(read_file(tree / "f") == pattern(300000));
                      CHECK(read_file(tree / "g") == "x");
                  });
}

TEST_CASE("lifecycle: SIGTERM to the daemon unmounts") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    tree.mount();
    pid_t daemon = tree.mounted().pid();
    OK(::kill(daemon, SIGTERM));
    CHECK(eventually([&] { return !is_alive(daemon); }));
    CHECK(eventually([&] { return !is_mounted(tree.mnt()); }));
    if (is_mounted(tree.mnt())) ::umount2(tree.mnt().c_str(), MNT_DETACH);
}

TEST_CASE("lifecycle: the daemon stands on its own") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    tree.mount();
    std::string proc = "/proc/" + std::to_string(tree.mounted().pid());
    CHECK(link_target(proc + "/cwd") == "/");
    for (std::string fd : {"0", "1", "2"}) CHECK(link_target(proc + "/fd/" + fd) == "/dev/null");
    CHECK(::getsid(tree.mounted().pid()) == tree.mounted().pid());
    // A branch is not held by the daemon's own working directory, nor a terminal by its session.
    struct statfs st {};
    OK(::statfs(tree.mnt().c_str(), &st));
    CHECK(static_cast<unsigned long>(st.f_type) == 0x65735546UL);
}

TEST_CASE("lifecycle: in the foreground with -f") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    write_file(tree.lower + "/f", "x");
    Child foreground([&] {
        std::string options = tree.options() + ",transport=" + wanted_transport();
        std::string binary = plyfs_binary();
        return ::execl(binary.c_str(), "plyfs", "-f", "-o", options.c_str(), tree.mnt().c_str(), nullptr);
    });
    REQUIRE(eventually([&] { return is_mounted(tree.mnt()) && exists(tree / "f"); }));
    CHECK(Stats::read(tree.mnt())["pid"] == foreground.pid());
    OK(::umount(tree.mnt().c_str()));
    CHECK(foreground.wait(5) == 0);
}

TEST_CASE("lifecycle: two mounts with one work directory") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    tree.mount();
    std::string second = tree.scratch().dir("second"), upper2 = tree.upper + "/../upper2";
    OK(::mkdir(upper2.c_str(), 0755));
    std::string options = "lowerdir=" + tree.lower + ",upperdir=" + upper2 + ",workdir=" + tree.work;
    Ran ran = run_plyfs({"-o", options, second});
    CHECK(ran.code == 32);
    CHECK_FALSE(is_mounted(second));
    CHECK(ran.err.find("work") != std::string::npos);
    write_file(tree / "f", "the first goes on");
    tree.unmount();
    Mount now(options, "", second);  // and now it is free
    CHECK(list_dir(second).empty());
}

TEST_CASE("lifecycle: read-only, and a union of read-only branches alone") {
    Layers tree;
    write_file(tree.lower + "/f", pattern(300000));
    tree.mount("ro");
    Counter count(tree.mnt());
    CHECK(read_file(tree / "f") == pattern(300000));
    CHECK(count.served() == 0);
    CHECK(try_open(tree / "f", O_RDWR) == EROFS);
    CHECK(try_open(tree / "new", O_CREAT | O_WRONLY) == EROFS);
    FAILS(EROFS, ::unlink((tree / "f").c_str()));
    FAILS(EROFS, ::chmod((tree / "f").c_str(), 0600));
    tree.unmount();
    if (is_standin()) return;
    Mount merged("", tree.lower + "=ro:" + tree.lower2 + "=ro", tree.mnt());
    CHECK(read_file(merged / "f") == pattern(300000));
    CHECK(try_open(merged / "f", O_RDWR) == EROFS);
    FAILS(EROFS, ::mkdir((merged / "d").c_str(), 0755));
}

TEST_CASE("lifecycle: a branch without new names") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool;
    write_file(pool.b + "/f", "x");
    make_dirs(pool.b + "/d");
    Mount mount("create=ff", pool.b + "=nc:" + pool.a + "=rw", pool.mnt());
    write_file(mount / "f", "changed in place");
    CHECK(read_file(pool.b + "/f") == "changed in place");
    write_file(mount / "new", "x");
    CHECK(exists(pool.a + "/new"));
    write_file(mount / "d/new", "x");
    CHECK(exists(pool.a + "/d/new"));
    OK(::unlink((mount / "f").c_str()));
    CHECK_FALSE(exists(pool.b + "/f"));
}

// Copies on their way: what the work directory does to them, and what is left of them when the daemon dies.
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

TEST_CASE("copy-up: what the work directory hands on is not carried up") {
    need_privilege("inode flags");
    if (!have_tool("setfacl")) skip("setfacl is needed");
    Layers tree;
    make_dirs(tree.lower + "/d");
    write_file(tree.lower + "/d/f", "x");
    write_file(tree.lower + "/d/g", "x");
    must_run({"setfacl", "-d", "-m", "u:4321:rwx", tree.work});
    {
        UniqueFd fd = open_file(tree.work, O_RDONLY | O_DIRECTORY);
        int flags = FS_NOATIME_FL;
        OK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
    }
    tree.mount();
    write_file(tree / "d/f", "y");
    OK(::chmod((tree / "d/g").c_str(), 0600));
    for (const char* name : {"/d", "/d/f", "/d/g"}) {
        CHECK(get_xattr(tree.upper + name, "system.posix_acl_access") == "(none)");
        if (name == std::string("/d")) CHECK(get_xattr(tree.upper + name, "system.posix_acl_default") == "(none)");
        UniqueFd fd = open_file(tree.upper + name, O_RDONLY);
        int flags = 0;
        OK(::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags));
        CHECK((flags & FS_NOATIME_FL) == 0);
    }
}

TEST_CASE("copy-up: a daemon that is killed in it leaves the original or the whole copy") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree({.mib = 200});
    const std::string original = tree.lower + "/d/e/big", copy = tree.upper + "/d/e/big";
    const auto is_whole = [&](const std::string& path) { return run({"cmp", original, path}).code == 0; };
    make_dirs(tree.lower + "/d/e");
    write_file(original, pattern(40 << 20));
    for (int round = 0; round < 8; round++) {
        tree.mount();
        const pid_t daemon = tree.mounted().pid();
        Child opener([&] { return ::open((tree / "d/e/big").c_str(), O_RDWR | O_CLOEXEC) == -1 ? errno : 0; });
        nap(2 + round * round * 4);
        OK(::kill(daemon, SIGKILL));
        opener.wait();
        REQUIRE(eventually([&] { return !is_alive(daemon); }));
        OK(::umount2(tree.mnt().c_str(), MNT_DETACH));
        INFO("round ", round);
        if (exists(copy)) CHECK(is_whole(copy));
        tree.mount();
        CHECK(is_whole(tree / "d/e/big"));
        CHECK(list_dir(tree.work + "/work").empty());
        tree.unmount();
        must_run({"rm", "-rf", tree.upper + "/d"});
    }
}

TEST_CASE("metacopy: a file that is opened for writing and not written to keeps its capabilities and its times") {
    need_privilege("file capabilities");
    const std::string capability("\x01\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    Layers tree;
    write_file(tree.lower + "/f", pattern(9000));
    set_xattr(tree.lower + "/f", "security.capability", capability);
    tree.mount("metacopy=on");
    OK(::chmod((tree / "f").c_str(), 0711));
    const auto changed = ns(stat_of(tree / "f").st_mtim);
    open_file(tree / "f", O_RDWR).reset();
    CHECK(get_xattr(tree / "f", "security.capability") == capability);
    CHECK(ns(stat_of(tree / "f").st_mtim) == changed);
    CHECK(read_file(tree / "f") == pattern(9000));
}

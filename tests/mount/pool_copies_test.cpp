// A file that several branches of a pool have, and branches that nothing is changed on: which copy answers, which is
// removed, which is read when another can not be.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "pool_ground.h"
#include "support/run.h"
#include "support/transport.h"

using namespace plyfs::test;

namespace {

void set_time(const std::string& path, long seconds, long nanoseconds = 0) {
    const timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
    OK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

std::string words(const Ran& ran) {
    return std::to_string(ran.code) + " " + ran.err;
}

}  // namespace

TEST_CASE("pool copies: selection says which one is seen") {
    PoolGround g;
    write_file(g.at('a', "f"), "first");
    write_file(g.at('b', "f"), "the largest of them");
    write_file(g.at('c', "f"), "newest");
    for (char c : {'a', 'b', 'c'}) set_time(g.at(c, "f"), c == 'c' ? 3000 : 1000);
    const auto seen = [&](const std::string& options) {
        Mount mount("timeout=0" + options, g.branches("a:b:c"), g.mnt);
        const std::string content = read_file(mount / "f");
        CHECK(static_cast<std::size_t>(stat_of(mount / "f").st_size) == content.size());
        return content;
    };
    CHECK(seen("") == "first");
    CHECK(seen(",selection=ff") == "first");
    CHECK(seen(",selection=newest") == "newest");
    CHECK(seen(",selection=largest") == "the largest of them");
    CHECK(seen(",category.search=largest") == "the largest of them");
    CHECK(seen(",category.search=newest,selection=newest") == "newest");
}

TEST_CASE("pool copies: a copy that one branch has no room for goes to the next") {
    PoolGround g("abcd");
    const std::string content = pattern(9 << 20);
    write_file(g.at('d', "big"), content);
    write_file(g.at('a', "filler"), pattern(12 << 20));
    Mount mount("create=ff,minfreespace=0", g.branches("a:b:c:d=ro"), g.mnt);
    write_fd(open_file(mount / "big", O_WRONLY | O_APPEND).get(), "more", static_cast<off_t>(content.size()));
    CHECK(read_file(mount / "big") == content + "more");
    CHECK(g.where("big") == "bd");
    CHECK(read_file(g.at('d', "big")) == content);
}

TEST_CASE("pool copies: a branch that becomes read-only says so, and what is free there is nobody's") {
    PoolGround g("ab");
    g.fill("a/f");
    Mount mount("create=ff,minfreespace=0", g.branches("a:b"), g.mnt);
    CHECK(read_file(mount / "f") == "a:f");
    const auto free = [&] {
        struct statvfs st = {};
        OK(::statvfs(g.mnt.c_str(), &st));
        return st.f_bavail * st.f_frsize;
    };
    const auto before = free();
    OK(::mount(nullptr, g.at('a', "").c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr));
    for (int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_WRONLY | O_TRUNC}) {
        CAPTURE(flags);
        CHECK(try_open(mount / "f", flags) == EROFS);
    }
    CHECK(read_file(mount / "f") == "a:f");
    CHECK(free() < before * 2 / 3);
    OK(::mount(nullptr, g.at('a', "").c_str(), nullptr, MS_REMOUNT, nullptr));
    CHECK(try_open(mount / "f", O_WRONLY) == 0);
}

TEST_CASE("pool copies: contradictions are refused in a line") {
    PoolGround g("ab");
    for (const std::string options : {"selection=newest,category.search=mfs", "selection=ff,func.getattr=newest",
                                      "unlink=winner,func.unlink=newest", "create=largest", "selection=mfs"}) {
        const Ran ran = run_plyfs({"-o", options, g.branches("a:b"), g.mnt});
        INFO(options, ": ", words(ran));
        CHECK(ran.code == 1);
        CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
        CHECK_FALSE(is_mounted(g.mnt));
    }
}

TEST_CASE("pool copies: unlink removes all of them, or the one that is seen") {
    const auto left = [](const std::string& options, const std::string& branches = "a:b:c") {
        PoolGround g;
        g.fill("a/f b/f c/f");
        Mount mount("timeout=0" + options, g.branches(branches), g.mnt);
        OK(::unlink((mount / "f").c_str()));
        return g.where("f") + (exists(mount / "f") ? " " + read_file(mount / "f") : "");
    };
    CHECK(left("") == "");
    CHECK(left(",unlink=all") == "");
    CHECK(left(",unlink=winner") == "bc b:f");
    CHECK(left(",func.unlink=ff") == "bc b:f");
    // What can not be removed is hidden, or not deleted.
    CHECK(left("", "a:b=ro:c") == "ab");
    CHECK(left(",unlink=winner", "a:b=ro:c") == "bc b:f");
    // A directory that is removed has no parts left.
    PoolGround g;
    g.fill("a/d/ b/d/");
    Mount mount("unlink=winner", g.branches("a:b"), g.mnt);
    OK(::rmdir((mount / "d").c_str()));
    CHECK(g.where("d").empty());
}

TEST_CASE("pool copies: a directory that is not empty anywhere loses no part") {
    PoolGround g;
    g.fill("a/d/ b/d/x c/d/");
    for (char c : {'a', 'b', 'c'}) OK(::chmod(g.at(c, "d").c_str(), c == 'a' ? 0700 : 0755));
    for (const char* options : {"timeout=0", "timeout=0,whiteouts=off", "timeout=0,func.rmdir=all"}) {
        INFO(options);
        Mount mount(options, g.branches("a:b:c"), g.mnt);
        FAILS(ENOTEMPTY, ::rmdir((mount / "d").c_str()));
        CHECK(g.where("d") == "abc");
        CHECK((stat_of(mount / "d").st_mode & 0777) == 0700);
    }
}

TEST_CASE("pool copies: what is open or read through the daemon goes on with a true copy") {
    PoolGround g("b");
    LoopFs bad("ext4", g.scratch.path(), "bad", 16);
    const std::string content = pattern(300000);
    for (const char* name : {"open", "read", "other_time", "other_size"}) {
        write_file(bad / name, content);
        write_file(g.at('b', name), std::string(name) == "other_size" ? content + "x" : content);
        set_time(bad / name, 1000, 500);
        set_time(g.at('b', name), 1000, std::string(name) == "other_time" ? 501 : 500);
    }
    Mount mount("passthrough=off", bad.path() + ":" + g.at('b', ""), g.mnt);
    for (const char* name : {"open", "read", "other_time", "other_size"}) stat_of(mount / name);
    UniqueFd before = open_file(mount / "read", O_RDONLY);
    UniqueFd alone = open_file(mount / "other_time", O_RDONLY);
    bad.shut_down();
    CHECK(read_file(mount / "open") == content);
    CHECK(read_fd(before.get()) == content);
    char byte;
    FAILS(EIO, ::pread(alone.get(), &byte, 1, 0));
    CHECK(try_open(mount / "other_size", O_RDONLY) == EIO);
    CHECK(try_open(mount / "open", O_RDWR) == EIO);
    CHECK(mount.stats()["failovers"] == 2);
}

TEST_CASE("pool copies: read-failover=always reads files that have a copy through the daemon, and only those") {
    PoolGround g("b");
    LoopFs bad("ext4", g.scratch.path(), "bad", 16);
    for (const char* name : {"both", "alone"}) write_file(bad / name, pattern(100000));
    write_file(g.at('b', "both"), pattern(100000));
    for (const std::string& path : {bad / "both", g.at('b', "both")}) set_time(path, 1000, 500);
    const std::string branches = bad.path() + ":" + g.at('b', "");
    {
        Mount mount("", branches, g.mnt);
        Counter count(g.mnt);
        CHECK(read_file(mount / "both") == pattern(100000));
        CHECK(count("opens.cached") == 0);
    }
    Mount mount("read-failover=always", branches, g.mnt);
    Counter count(g.mnt);
    CHECK(read_file(mount / "alone") == pattern(100000));
    CHECK(count("opens.passthrough") == 1);
    UniqueFd fd = open_file(mount / "both", O_RDONLY);
    CHECK(count("opens.cached") == 1);
    bad.shut_down();
    CHECK(read_fd(fd.get()) == pattern(100000));
    fd = UniqueFd();
    mount.unmount();
    Mount off("read-failover=off,passthrough=off", branches, g.mnt);
    stat_of(off / "both");
    CHECK(try_open(off / "both", O_RDONLY) == EIO);
}

TEST_CASE("pool copies: names that may be on a branch that went are missing, or an error") {
    for (const bool error : {false, true}) {
        INFO(error);
        PoolGround g("b");
        Mounted gone("none", g.scratch.dir("gone"), "tmpfs", 0, "size=16M");
        make_dirs(gone.target() + "/films");
        write_file(gone.target() + "/films/on_gone", "x");
        g.fill("b/films/on_b");
        g.fill("b/empty/");
        Mount mount(std::string("timeout=0,branch-lost=") + (error ? "eio" : "enoent"),
                    gone.target() + ":" + g.at('b', ""), g.mnt);
        CHECK(read_file(mount / "films/on_gone") == "x");
        CHECK(try_open(mount / "films/never", O_RDONLY) == ENOENT);
        OK(::umount2(gone.target().c_str(), MNT_DETACH));
        CHECK(eventually([&] { return mount.stats().text("branch.0.present") == "no"; }, 10000));
        CHECK(read_file(mount / "films/on_b") == "b:films/on_b");
        CHECK(try_open(mount / "films/on_gone", O_RDONLY) == (error ? EIO : ENOENT));
        CHECK(try_open(mount / "films/new", O_CREAT | O_WRONLY) == (error ? EIO : 0));
        // What is known is listed, and then that it may not be all.
        const Ran listed = run({"ls", mount / "films"});
        CHECK(listed.out.find("on_b") != std::string::npos);
        CHECK((listed.code != 0) == error);
        CHECK(err_of(::rmdir((mount / "empty").c_str())) == (error ? EIO : 0));
        CHECK(err_of(::rename((mount / "films").c_str(), (mount / "moved").c_str())) == (error ? EIO : 0));
        if (error) {
            Mounted again("none", gone.target(), "tmpfs", 0, "size=16M");
            CHECK(eventually([&] { return mount.stats().text("branch.0.present") == "yes"; }, 10000));
            CHECK(try_open(mount / "films/new", O_CREAT | O_WRONLY) == 0);
            CHECK(run({"ls", mount / "films"}).ok());
        }
    }
}

TEST_CASE("pool copies: a file of a read-only branch is copied up where it will be seen") {
    const auto copied_to = [](const std::string& options, const std::string& branches, const std::string& files) {
        PoolGround g;
        g.fill(files);
        Mount mount("timeout=0,minfreespace=0," + options, g.branches(branches), g.mnt);
        UniqueFd fd = open_file(mount / "d/f", O_WRONLY | O_APPEND);
        write_fd(fd.get(), "+", 5);
        fd = UniqueFd();
        CHECK(read_file(mount / "d/f") == "c:d/f+");
        CHECK(read_file(g.at('c', "d/f")) == "c:d/f");
        return g.where("d/f");
    };
    CHECK(copied_to("create=ff", "a:b:c=ro", "c/d/f") == "ac");
    CHECK(copied_to("create=lfs", "a:b:c=ro", "c/d/f b/fill") == "bc");
    // The nearest where a policy keeps to existing directories.
    CHECK(copied_to("create=epff", "a:b:c=ro", "c/d/f b/d/") == "bc");
    CHECK(copied_to("create=epff", "a:b:c=ro", "c/d/f") == "ac");
    // Only above: below it would not be seen.
    CHECK(copied_to("create=rand", "a:c=ro:b", "c/d/f") == "ac");
    CHECK(copied_to("create=ff", "a=nc:b:c=ro", "c/d/f") == "bc");
    for (const std::string selection : {"newest", "largest"}) {
        CHECK(copied_to("create=ff,selection=" + selection, "a:b:c=ro", "c/d/f") == "ac");
    }
    CHECK(copied_to("create=ff,category.search=mfs", "a:c=ro:b", "c/d/f") == "ac");
}

TEST_CASE("pool copies: without copies and without whiteouts a read-only branch is as it is") {
    PoolGround g;
    g.fill("b/f b/d/g b/e/ a/own");
    {
        Mount mount("timeout=0,create=ff,copyup=off", g.branches("a:b=ro"), g.mnt);
        for (int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
            CHECK(try_open(mount / "f", flags) == EROFS);
        }
        FAILS(EROFS, ::chmod((mount / "f").c_str(), 0600));
        FAILS(EROFS, ::truncate((mount / "f").c_str(), 0));
        FAILS(EROFS, ::chmod((mount / "d").c_str(), 0700));
        FAILS(EROFS, ::setxattr((mount / "f").c_str(), "user.x", "y", 1, 0));
        FAILS(EROFS, ::link((mount / "f").c_str(), (mount / "l").c_str()));
        CHECK(read_file(mount / "f") == "b:f");
        write_file(mount / "d/new", "x");  // its directory is made
        CHECK(g.where("d/new") == "a");
        OK(::unlink((mount / "d/g").c_str()));
        CHECK_FALSE(exists(mount / "d/g"));
    }
    OK(::unlink(g.at('a', "d/g").c_str()));
    Mount mount("timeout=0,create=ff,whiteouts=off", g.branches("a:b=ro"), g.mnt);
    FAILS(EROFS, ::unlink((mount / "f").c_str()));
    FAILS(EROFS, ::rmdir((mount / "e").c_str()));
    write_file(mount / "f", "changed");
    CHECK(g.where("f") == "ab");
    FAILS(EROFS, ::unlink((mount / "f").c_str()));
    CHECK(read_file(mount / "f") == "changed");
    OK(::unlink((mount / "own").c_str()));
    // No mark of ours, so no mark at all.
    OK(::mknod((mount / "device").c_str(), S_IFCHR | 0600, 0));
    CHECK(S_ISCHR(lstat_of(mount / "device").st_mode));
    CHECK(read_file(g.at('b', "f")) == "b:f");
    mount.unmount();
    Mount above("timeout=0", g.branches("b=ro:a"), g.mnt);
    CHECK(try_open(above / "d/g", O_RDWR) == EROFS);
    FAILS(EROFS, ::unlink((above / "d/g").c_str()));
}

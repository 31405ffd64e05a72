// The command lines that container engines write: for fuse-overlayfs, whose name we may be called by, and for plyfs as
// their mount program. What they rely on: it returns when the mount is there, nothing of theirs stays open, and no
// word of theirs is a failure.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// Layers as an engine keeps them: directories named by long ids, short links to them in l/, and a working directory
// that all names are relative to.
struct Store {
    Store() : disk("ext4", scratch.path(), "store", 64), target(scratch.dir("merged")) {
        if (is_standin()) skip("about plyfs itself");
        for (std::string name : {"top", "base", "diff", "work", "l"}) disk.dir(name);
        OK(::symlink("../top", (disk / "l/AAAA").c_str()));
        OK(::symlink("../base", (disk / "l/BBBB").c_str()));
        write_file(disk / "top/one", "top");
        write_file(disk / "base/one", "base");
        write_file(disk / "base/two", "base");
        OK(::symlink(plyfs_binary().c_str(), drop_in().c_str()));
    }
    std::string drop_in() const { return scratch / "fuse-overlayfs"; }
    std::string layers() const { return "lowerdir=l/AAAA:l/BBBB,upperdir=diff,workdir=work"; }
    std::string transport() const { return ",transport=" + wanted_transport(); }
    // As podman does it: standard error is read until nobody can write to it any more.
    Ran call(const std::string& program, const std::string& arguments) const {
        return shell("cd '" + disk.path() + "' && said=$(" + program + " " + arguments +
                         " 2>&1 >/dev/null </dev/null); code=$?; printf '%s' \"$said\"; exit $code",
                     20);
    }
    Scratch scratch;
    LoopFs disk;
    std::string target;
};

std::string type_of(const std::string& mountpoint) {
    return run({"findmnt", "-n", "-o", "FSTYPE,SOURCE", mountpoint}).out;
}

bool has_line(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("engines: a mount program under either name, with links, empty words and mappings") {
    Store store;
    for (const std::string& program : {plyfs_binary(), store.drop_in()}) {
        CAPTURE(program);
        const Ran ran = store.call(
            program, "-o '" + store.layers() +
                         ",context=\"u:r:t:s0:c1,c2\",,volatile,uidmapping=:0:0:65536,gidmapping=:0:0:65536,private" +
                         store.transport() + "' " + store.target);
        INFO(ran.out, ran.err);
        REQUIRE(ran.code == 0);
        REQUIRE(is_mounted(store.target));
        Mount mount = Mount::adopt(store.target);
        CHECK(read_file(mount / "one") == "top");
        CHECK(read_file(mount / "two") == "base");
        write_file(mount / "two", "changed");
        CHECK(read_file(store.disk / "base/two") == "base");
        CHECK_FALSE(has_line(ran.out, "ignored"));
        mount.unmount();
        // What engines do before each mount.
        must_run({"rm", "-rf", store.disk / "work/work/incompat/volatile"});
        must_run({"rm", "-f", store.disk / "diff/two"});
    }
}

TEST_CASE("engines: as fuse-overlayfs the type has that name, unknown words are a line each, and a word may lead") {
    Store store;
    Ran ran = store.call(store.drop_in(), "overlay " + store.target + " -o workdir=work -o upperdir=diff -o'" +
                                              "lowerdir=l/AAAA:l/BBBB,dev,suid,frobnicate=7,redirect_dir=off" +
                                              store.transport() + "' -q --loud");
    INFO(ran.out, ran.err);
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(store.target);
    CHECK(type_of(store.target) == "fuse.fuse-overlayfs fuse-overlayfs\n");
    CHECK(run({"findmnt", "-n", "-t", "fuse.fuse-overlayfs", store.target}).code == 0);
    for (std::string word : {"frobnicate=7", "-q", "--loud"})
        CHECK(has_line(ran.out, "unknown argument ignored: " + word));
    CHECK_FALSE(has_line(ran.out, "ignored: overlay"));
    const std::string options = run({"findmnt", "-n", "-o", "OPTIONS", store.target}).out;
    for (std::string word : {"noatime", "default_permissions", "allow_other"}) CHECK(has_line(options, word));
    for (std::string word : {"nodev", "nosuid"}) CHECK_FALSE(has_line(options, word));
    mount.unmount();

    // The same words are an error to plyfs, but for subtype=.
    ran = store.call(plyfs_binary(), "-o '" + store.layers() + ",frobnicate=7' " + store.target);
    CHECK(ran.code == 1);
    ran = store.call(plyfs_binary(),
                     "-o '" + store.layers() + ",subtype=other" + store.transport() + "' " + store.target);
    REQUIRE(ran.code == 0);
    Mount other = Mount::adopt(store.target);
    CHECK(type_of(store.target) == "fuse.other plyfs\n");
}

TEST_CASE("engines: layers without an upper one are read-only, and what is missing is one line and a failure") {
    Store store;
    Ran ran = store.call(store.drop_in(), "-o lowerdir=l/AAAA:l/BBBB" + store.transport() + " " + store.target);
    INFO(ran.out);
    REQUIRE(ran.code == 0);
    {
        Mount mount = Mount::adopt(store.target);
        CHECK(try_open(mount / "new", O_CREAT | O_WRONLY) == EROFS);
        CHECK(try_open(mount / "one", O_RDWR) == EROFS);
    }
    const std::pair<std::string, std::string> refused[] = {
        {store.target, "lowerdir="},
        {"-o upperdir=diff,workdir=work " + store.target, "lowerdir="},
        {"-o lowerdir=l/AAAA,upperdir=diff " + store.target, "workdir="},
        {"-o lowerdir=l/CCCC,upperdir=diff,workdir=work " + store.target, "l/CCCC"},
        {"-o lowerdir=l/AAAA,uidmapping=0:1 " + store.target, "uidmapping"},
        {"-o lowerdir=l/AAAA,verity=require " + store.target, "verity"},
        {"-o lowerdir=//plugin/data/top,plugins=a.so " + store.target, "plugins"},
        {"-o lowerdir=l/AAAA", "mountpoint"},
    };
    for (const auto& [arguments, word] : refused) {
        CAPTURE(arguments);
        ran = store.call(store.drop_in(), arguments);
        CAPTURE(ran.out);
        CHECK(ran.code != 0);
        CHECK(has_line(ran.out, word));
        CHECK(has_line(ran.out, "fuse-overlayfs: "));
        CHECK_FALSE(has_line(ran.out, "\n"));
        CHECK_FALSE(is_mounted(store.target));
    }
}

TEST_CASE("engines: --version and --help need no /dev/fuse") {
    need_privilege("devices");
    Store store;
    for (std::string program : {plyfs_binary(), store.drop_in()}) {
        for (std::string flag : {"--version", "-V", "--help", "-h"}) {
            CAPTURE(program);
            CAPTURE(flag);
            CHECK(in_child(
                      [&] {
                          if (::unshare(CLONE_NEWNS) != 0) return 125;
                          if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 125;
                          if (::mount("tmpfs", "/dev", "tmpfs", 0, nullptr) != 0) return 125;
                          if (::mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) != 0) return 125;
                          const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
                          ::dup2(null, 1);
                          ::execl(program.c_str(), program.c_str(), flag.c_str(), nullptr);
                          return 126;
                      },
                      5) == 0);
        }
    }
    CHECK(run({store.drop_in(), "--version"}).out.rfind("fuse-overlayfs: plyfs ", 0) == 0);
}

TEST_CASE("engines: nothing in the environment") {
    Store store;
    Ran ran = run({"env", "-i", store.drop_in(), "--version"});
    CHECK(ran.code == 0);
    OK(::chdir("/"));
    ran =
        run({"env", "-i", store.drop_in(), "-o", "lowerdir=" + (store.disk / "top") + store.transport(), store.target});
    INFO(ran.out, ran.err);
    CHECK(ran.err.empty());
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(store.target);
    // What would make fuse-overlayfs print its counters.
    OK(::kill(mount.pid(), SIGUSR1));
    CHECK(read_file(mount / "one") == "top");
}

TEST_CASE("engines: 500 layers, in options far longer than a page") {
    Store store;
    std::string options = "lowerdir=l/AAAA:l/BBBB";
    for (int i = 0; i < 498; ++i) {
        const std::string name = "layer-with-a-name-as-long-as-those-are-" + std::to_string(1000 + i);
        store.disk.dir(name);
        options += ":" + name;
    }
    write_file(store.disk / "layer-with-a-name-as-long-as-those-are-1497/bottom", "500");
    CHECK(options.size() > 16384);
    Ran ran = store.call(store.drop_in(),
                         "-o '" + options + ",upperdir=diff,workdir=work" + store.transport() + "' " + store.target);
    INFO(ran.out);
    REQUIRE(ran.code == 0);
    CHECK(read_file(store.target + "/bottom") == "500");
    write_file(store.target + "/bottom", "up");
    CHECK(read_file(store.disk / "diff/bottom") == "up");
    OK(::umount(store.target.c_str()));
    ran = store.call(store.drop_in(), "-o '" + options + ":work,upperdir=diff,workdir=work' " + store.target);
    CHECK(ran.code != 0);
    CHECK(has_line(ran.out, "names 501 directories"));
}

TEST_CASE("engines: names with colons, commas and backslashes") {
    Store store;
    store.disk.dir("a:b,c\\d");
    write_file(store.disk / "a:b,c\\d/f", "x");
    for (std::string list : {"lowerdir=a\\:b\\,c\\\\d", "lowerdir+=a:b\\,c\\\\d", "lowerdir=\"a\\:b,c\\\\d\""}) {
        CAPTURE(list);
        const Ran ran =
            store.call(store.drop_in(), "-o '" + list + ":l/BBBB" + store.transport() + "' " + store.target);
        const bool appended = list.find('+') != std::string::npos;  // there a colon is part of the name
        CHECK((ran.code == 0) == !appended);
        if (!appended) {
            Mount mount = Mount::adopt(store.target);
            CHECK(read_file(mount / "f") == "x");
            CHECK(read_file(mount / "two") == "base");
        }
    }
    const Ran ran = store.call(store.drop_in(),
                               "-o 'lowerdir+=a:b\\,c\\\\d,lowerdir+=l/BBBB" + store.transport() + "' " + store.target);
    INFO(ran.out);
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(store.target);
    CHECK(read_file(mount / "f") == "x");
    CHECK(read_file(mount / "two") == "base");
}

TEST_CASE("volatile: nothing is synced, passthrough stays, and the mark forbids the next mount") {
    need_privilege("passthrough");
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    write_file(tree.lower + "/f", pattern(300000));
    tree.mount("volatile");
    Counter count(tree.mnt());
    {
        UniqueFd fd = open_file(tree / "f", O_RDWR);
        UniqueFd dir = open_file(tree.mnt(), O_RDONLY | O_DIRECTORY);
        for (int i = 0; i < 5; ++i) {
            write_fd(fd.get(), "changed", 0);
            OK(::fsync(fd.get()));
            OK(::fdatasync(fd.get()));
            OK(::fsync(dir.get()));
        }
        CHECK(count.request("fsync") <= 1);
        CHECK(count.request("fsyncdir") <= 1);
        CHECK(count("opens.passthrough") == 1);
        CHECK(count.served() == 0);
    }
    const std::string mark = tree.work + "/work/incompat/volatile";
    CHECK(exists(mark + "/dirty"));
    tree.unmount();
    CHECK(exists(mark + "/dirty"));

    for (std::string more : {"", ",volatile"}) {
        const Ran ran = run_plyfs({"-o", tree.options() + more, tree.mnt()});
        CAPTURE(ran.err);
        CHECK(ran.code == 32);
        CHECK(has_line(ran.err, mark));
        CHECK_FALSE(is_mounted(tree.mnt()));
    }
    CHECK(try_mount("overlay", tree.mnt(), "overlay", 0, tree.options()) == EINVAL);  // the kernel heeds it as well

    // Under the name of fuse-overlayfs nobody knows of marks.
    const std::string drop_in = tree.scratch() / "fuse-overlayfs";
    OK(::symlink(plyfs_binary().c_str(), drop_in.c_str()));
    const std::string options = tree.options() + ",volatile,transport=" + wanted_transport();
    must_run({drop_in, "-o", options, tree.mnt()});
    { Mount mount = Mount::adopt(tree.mnt()); }
    must_run({"rm", "-r", mark});
    must_run({drop_in, "-o", options, tree.mnt()});
    { Mount mount = Mount::adopt(tree.mnt()); }
    CHECK_FALSE(exists(mark));

    tree.mount("");
    Counter again(tree.mnt());
    UniqueFd fd = open_file(tree / "f", O_RDWR);
    OK(::fsync(fd.get()));
    OK(::fsync(fd.get()));
    CHECK(again.request("fsync") == 2);
}

TEST_CASE("noxattrs: none to be had, and none to be set") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    write_file(tree.lower + "/f", "x");
    set_xattr(tree.lower + "/f", "user.a", "1");
    tree.mount("noxattrs=1");
    const std::string f = tree / "f";
    char value[16];
    FAILS(EOPNOTSUPP, ::getxattr(f.c_str(), "user.a", value, sizeof value));
    FAILS(EOPNOTSUPP, ::listxattr(f.c_str(), value, sizeof value));
    for (int i = 0; i < 2; ++i) {
        FAILS(EOPNOTSUPP, ::setxattr(f.c_str(), "user.b", "2", 1, 0));
        FAILS(EOPNOTSUPP, ::removexattr(f.c_str(), "user.a"));
    }
    CHECK_FALSE(exists(tree.upper + "/f"));
    // They are kept all the same.
    write_file(f, "y");
    CHECK(get_xattr(tree.upper + "/f", "user.a") == "1");
}

TEST_CASE("noacl: owner and mode decide alone") {
    if (is_standin()) skip("about plyfs itself");
    if (!have_tool("setfacl")) skip("no setfacl here");
    Layers tree;
    write_file(tree.lower + "/f", "x", 0600);
    must_run({"setfacl", "-m", "u:1000:rw", tree.lower + "/f"});
    tree.mount();
    const std::string f = tree / "f";
    CHECK(as_user({}, [&] { return err_of(::open(f.c_str(), O_RDONLY | O_CLOEXEC)); }) == 0);
    tree.unmount();
    tree.mount("noacl");
    CHECK(as_user({}, [&] { return err_of(::open(f.c_str(), O_RDONLY | O_CLOEXEC)); }) == EACCES);
}

TEST_CASE("static_nlink: directories have one link") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    make_dirs(tree.lower + "/d/one");
    make_dirs(tree.lower + "/d/two");
    tree.mount();
    CHECK(stat_of(tree / "d").st_nlink == 4);
    tree.unmount();
    tree.mount("static_nlink");
    CHECK(stat_of(tree / "d").st_nlink == 1);
    make_dirs(tree / "new/inner");
    CHECK(stat_of(tree / "new").st_nlink == 1);
    CHECK(stat_of(tree.mnt()).st_nlink == 1);
}

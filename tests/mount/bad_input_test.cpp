// What can not be mounted is said in one line that names it and how to mend it, with mount(8)'s exit codes,
// and leaves nothing behind.
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr int kUsage = 1, kSystem = 2, kMountFailure = 32;

struct Ground {
    Ground()
        : disk("ext4", scratch.path(), "disk", 256),
          other("ext4", scratch.path(), "other", 32),
          mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
        for (std::string name : {"a", "b", "upper", "work"}) disk.dir(name);
        other.dir("work");
    }
    std::string layers() const { return "lowerdir=" + (disk / "a") + ",upperdir=" + (disk / "upper"); }
    void refused(const std::vector<std::string>& args, int code, const std::vector<std::string>& words) {
        check(run_plyfs(args), args, code, words);
    }
    void check(const Ran& ran, const std::vector<std::string>& args, int code, const std::vector<std::string>& words) {
        std::string command = "plyfs";
        for (const std::string& arg : args) command += " " + arg;
        INFO(command, "\nexit code ", ran.code, "\n", ran.out, ran.err);
        CHECK(ran.code == code);
        CHECK(ran.out.empty());
        CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
        for (const std::string& word : words) CHECK(ran.err.find(word) != std::string::npos);
        CHECK_FALSE(is_mounted(mnt));
        CHECK(list_dir(mnt).empty());
    }
    Scratch scratch;
    LoopFs disk, other;
    std::string mnt;
};

}  // namespace

TEST_CASE("bad input: missing branches, and what is no directory") {
    Ground g;
    write_file(g.disk / "file", "x");
    g.refused({(g.disk / "never") + "=rw", g.mnt}, kMountFailure, {g.disk / "never"});
    g.refused({(g.disk / "a") + "=rw:" + (g.disk / "never") + "=ro", g.mnt}, kMountFailure, {g.disk / "never"});
    g.refused({(g.disk / "file") + "=rw", g.mnt}, kMountFailure, {g.disk / "file"});
    g.refused({"-o", g.layers() + "x,workdir=" + (g.disk / "work"), g.mnt}, kMountFailure, {"upperx"});
    g.refused({(g.disk / "a") + "=rw", g.disk / "no_mountpoint"}, kMountFailure, {"no_mountpoint"});
}

TEST_CASE("bad input: branches, mountpoint and each other") {
    Ground g;
    make_dirs(g.disk / "a/inside");
    g.refused({g.mnt + "=rw", g.mnt}, kMountFailure, {g.mnt});
    g.refused({(g.disk / "a") + "=rw:" + (g.disk / "a") + "=ro", g.mnt}, kUsage, {g.disk / "a"});
    g.refused({(g.disk / "a") + "=rw", g.disk / "a/inside"}, kMountFailure, {"inside"});
    g.refused({(g.disk / "a") + "=rw:" + (g.disk / "a/inside") + "=rw", g.mnt}, kMountFailure, {"inside"});
    g.refused({(g.disk / "a") + "=read", g.mnt}, kUsage, {"read"});
}

TEST_CASE("bad input: options") {
    Ground g;
    std::string branch = (g.disk / "a") + "=rw";
    g.refused({"-o", "no-such-option", branch, g.mnt}, kUsage, {"no-such-option"});
    g.refused({"-o", "transport=pigeon", branch, g.mnt}, kUsage, {"transport", "pigeon"});
    g.refused({"-o", "create=somewhere", branch, g.mnt}, kUsage, {"create", "somewhere"});
    g.refused({"-o", "entry_timeout=soon", branch, g.mnt}, kUsage, {"entry_timeout", "soon"});
    g.refused({"-o", "max-stack-depth=7", branch, g.mnt}, kUsage, {"max-stack-depth", "7"});
    g.refused({"--no-such-flag", branch, g.mnt}, kUsage, {"no-such-flag"});
    g.refused({branch}, kUsage, {});
    g.refused({branch, g.mnt, g.mnt}, kMountFailure, {"mountpoint " + g.mnt, "is also branch"});
    g.refused({"-o", "branches=" + (g.disk / "a"), branch, g.mnt, g.mnt}, kUsage, {"too many words"});
}

TEST_CASE("bad input: policies and free space and rules of pools") {
    Ground g;
    const std::string branch = g.disk / "a";
    g.refused({"-o", "create=epmsf", branch, g.mnt}, kUsage, {"create", "epmsf", "epmfs"});
    g.refused({"-o", "category.action=newst", branch, g.mnt}, kUsage, {"category.action", "newst", "newest"});
    g.refused({"-o", "func.chmod=xyz", branch, g.mnt}, kUsage, {"func.chmod", "xyz", "mspmfs"});
    g.refused({"-o", "func.chmd=ff", branch, g.mnt}, kUsage, {"func.chmd", "func.chmod"});
    g.refused({"-o", "func.rename=mfs", branch, g.mnt}, kUsage, {"func.rename", "epall"});
    for (std::string size : {"-1", "-5%", "101%", "4X"}) {
        g.refused({"-o", "minfreespace=" + size, branch, g.mnt}, kUsage, {"minfreespace", size});
        g.refused({branch + "=RW," + size, g.mnt}, kUsage, {branch + "=RW," + size, size});
    }
    g.refused({"-o", "cache.statfs=-1", branch, g.mnt}, kUsage, {"cache.statfs", "-1"});
    g.refused({"-o", "rules=x", branch, g.mnt}, kUsage, {"rules", "config=FILE"});
    g.refused({"-o", "branches-missing=wait", branch, g.mnt}, kUsage, {"branches-mount-timeout"});
    g.refused({"-o", "branches-missing=later", branch, g.mnt}, kUsage, {"branches-missing", "later"});
}

TEST_CASE("bad input: patterns of branches") {
    Ground g;
    write_file(g.disk / "file", "x");
    g.refused({g.disk / "none*", g.mnt}, kMountFailure, {"branches", g.disk / "none*"});
    g.refused({(g.disk / "a") + ":" + (g.disk / "none?") + "=ro", g.mnt}, kMountFailure, {"branches", "none?"});
    g.refused({g.disk / "[ab]:" + (g.disk / "a"), g.mnt}, kMountFailure,
              {"branch " + (g.disk / "a"), "same directory"});
}

TEST_CASE("bad input: rules in a file are told with their place") {
    Ground g;
    const std::string file = g.disk / "pool.yaml";
    const auto rules = [&](const std::string& rule, int code, const std::vector<std::string>& words) {
        write_file(file, "branches: [" + (g.disk / "a") + "]\nrules:\n  - " + rule + "\n");
        std::vector<std::string> all = words;
        all.push_back(file + ":3:");
        g.refused({"-o", "config=" + file, g.mnt}, code, all);
    };
    rules("{path: /x, policy: mfx}", kUsage, {"rules", "mfx", "mfs"});
    rules("{path: x, policy: mfs}", kUsage, {"rules", "begins at the mount's root"});
    rules("{policy: mfs}", kUsage, {"rules", "no condition"});
    rules("{path: /x}", kUsage, {"rules", "says nothing"});
    rules("{path: /x, size: 3}", kUsage, {"rules", "size"});
    rules("{path: /x, uid: root, policy: mfs}", kUsage, {"rules", "root"});
    rules("{path: /x, branches: [/elsewhere]}", kMountFailure, {"rules", "/elsewhere", "no branch"});
    rules("/x", kUsage, {"rules", "map"});
}

TEST_CASE("bad input: options of layers") {
    Ground g;
    const std::string work = ",workdir=" + (g.disk / "work");
    const std::string all = g.layers() + work;
    for (std::string map : {"0", "0:1", "0:1:2:3", "0:1:0", "a:b:c", "0:0:4294967296"}) {
        g.refused({"-o", all + ",uidmapping=" + map, g.mnt}, kUsage, {"uidmapping", map});
        g.refused({"-o", all + ",gidmapping=" + map, g.mnt}, kUsage, {"gidmapping", map});
    }
    g.refused({"-o", all + ",squash_to_uid=root", g.mnt}, kUsage, {"squash_to_uid"});
    g.refused({"-o", all + ",verity=on", g.mnt}, kUsage, {"verity"});
    g.refused({"-o", all + ",plugins=x", g.mnt}, kUsage, {"plugins"});
    g.refused({"-o", all + ",redirect_dir=maybe", g.mnt}, kUsage, {"redirect_dir", "maybe"});
    g.refused({"-o", "lowerdir=" + (g.disk / "a") + "::" + (g.disk / "b") + ":/c", g.mnt}, kUsage, {"data-only"});
    g.refused({"-o", "datadir+=" + (g.disk / "a"), g.mnt}, kUsage, {"lowerdir="});
    // A change through the mount would reach a lower layer.
    make_dirs(g.disk / "upper/low");
    g.refused({"-o", "lowerdir=" + (g.disk / "upper/low") + ",upperdir=" + (g.disk / "upper") + work, g.mnt},
              kMountFailure, {"lowerdir", "inside"});
    g.refused({"-o", "lowerdir=" + (g.disk / "upper") + ",upperdir=" + (g.disk / "upper") + work, g.mnt}, kUsage,
              {"upper", "twice"});
    std::string many = "lowerdir=" + (g.disk / "a");
    for (int i = 0; i < 500; ++i) many += ":/l" + std::to_string(i);
    g.refused({"-o", many + ",upperdir=" + (g.disk / "upper") + work, g.mnt}, kUsage, {"501"});
}

TEST_CASE("bad input: an upper directory without extended attributes is told of, and mounted") {
    Ground g;
    const std::string bare = g.scratch.dir("bare");
    Mounted ramfs("none", bare, "ramfs", 0, "");
    make_dirs(bare + "/upper");
    make_dirs(bare + "/work");
    const std::string options = "lowerdir=" + (g.disk / "a") + ",upperdir=" + bare + "/upper,workdir=" + bare + "/work";
    const Ran ran = run_plyfs({"-o", options + ",transport=" + wanted_transport(), g.mnt});
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK(ran.err.find("upperdir " + bare + "/upper: its file system has no extended attributes") != std::string::npos);
    Mount mount = Mount::adopt(g.mnt);
    write_file(mount / "f", "x");
    CHECK(read_file(bare + "/upper/f") == "x");
}

TEST_CASE("bad input: work directories") {
    Ground g;
    g.refused({"-o", g.layers() + ",workdir=" + (g.other / "work"), g.mnt}, kMountFailure,
              {g.other / "work", "file system"});
    g.refused({"-o", g.layers() + ",workdir=" + (g.disk / "upper"), g.mnt}, kMountFailure, {"workdir"});
    g.refused({"-o", g.layers() + ",workdir=" + (g.disk / "never"), g.mnt}, kMountFailure, {"never"});
    make_dirs(g.disk / "a/inside");
    g.refused({"-o", g.layers() + ",workdir=" + (g.disk / "a/inside"), g.mnt}, kMountFailure,
              {"workdir " + (g.disk / "a/inside"), "lowerdir " + (g.disk / "a;")});
    CHECK(list_dir(g.disk / "a/inside").empty());
    g.refused({"-o", g.layers(), g.mnt}, kUsage, {"workdir"});
}

TEST_CASE("bad input: a second mount on one upper, whatever its work directory") {
    Ground g;
    const std::string first = g.scratch.dir("first");
    g.disk.dir("work2");
    const std::string second = g.layers() + ",workdir=" + (g.disk / "work2");
    {
        Mount mount(g.layers() + ",workdir=" + (g.disk / "work"), "", first);
        g.refused({"-o", second, g.mnt}, kMountFailure, {"upperdir=" + (g.disk / "upper"), "in use"});
        g.refused({"-o", g.layers() + ",workdir=" + (g.disk / "work"), g.mnt}, kMountFailure, {"in use"});
        write_file(mount / "f", "the first goes on");
    }
    Mount mount(second, "", g.mnt);
    CHECK(read_file(mount / "f") == "the first goes on");
    write_file(mount / "g", "and the second has it now");
    CHECK(exists(g.disk / "upper/g"));
}

TEST_CASE("bad input: pools with work directories of their own share a read-only branch") {
    Ground g;
    const std::string first = g.scratch.dir("first");
    g.disk.dir("work2");
    Mount one("workdir=" + (g.disk / "work"), (g.disk / "a") + "=ro:" + (g.disk / "b") + "=rw", first);
    Mount two("workdir=" + (g.disk / "work2"), (g.disk / "a") + "=ro:" + (g.disk / "upper") + "=rw", g.mnt);
    write_file(one / "f", "one");
    write_file(two / "f", "two");
    CHECK(read_file(g.disk / "b/f") == "one");
    CHECK(read_file(g.disk / "upper/f") == "two");
}

TEST_CASE("bad input: relative paths mean the directory one is in, also after the daemon has left it") {
    Ground g;
    write_file(g.disk / "a/f", "x");
    OK(::chdir(g.disk.path().c_str()));
    Ran ran = run_plyfs({"-o", "transport=" + wanted_transport(), "a=rw:./b=rw", "../mnt"});
    OK(::chdir("/"));
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    {
        Mount mount = Mount::adopt(g.mnt);
        CHECK(read_file(mount / "f") == "x");
        write_file(mount / "new", "y");
        CHECK(mount.stats().text("branch.0.path") == g.disk / "a");
    }
    CHECK_FALSE(is_mounted(g.mnt));
    OK(::chdir(g.disk.path().c_str()));
    g.refused({"never=rw", "../mnt"}, kMountFailure, {"never"});
    OK(::chdir("/"));
}

TEST_CASE("bad input: not root") {
    Ground g;
    std::string copy = g.disk / "plyfs";
    must_run({"cp", plyfs_binary(), copy});
    std::string out = g.scratch / "out";
    write_file(out, "", 0666);
    std::string branch = (g.disk / "a") + "=rw";
    Ran ran;
    ran.code = as_user({}, [&] {
        int fd = ::open(out.c_str(), O_WRONLY | O_CLOEXEC);
        ::dup2(fd, 2);
        return ::execl(copy.c_str(), "plyfs", branch.c_str(), g.mnt.c_str(), nullptr);
    });
    ran.err = read_file(out);
    g.check(ran, {"as uid 1000", branch, g.mnt}, kUsage, {"root"});
}

TEST_CASE("bad input: no /dev/fuse") {
    Ground g;
    std::string out = g.scratch / "out", branch = (g.disk / "a") + "=rw", binary = plyfs_binary();
    write_file(out, "");
    Ran ran;
    ran.code = in_child([&] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 125;
        if (::mount("tmpfs", "/dev", "tmpfs", 0, nullptr) != 0) return 125;
        if (::mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) != 0) return 125;
        int fd = ::open(out.c_str(), O_WRONLY | O_CLOEXEC);
        ::dup2(fd, 2);
        return ::execl(binary.c_str(), "plyfs", branch.c_str(), g.mnt.c_str(), nullptr);
    });
    ran.err = read_file(out);
    g.check(ran, {"without /dev/fuse", branch, g.mnt}, kSystem, {"/dev/fuse"});
}

TEST_CASE("bad input: --help and --version are no errors") {
    if (is_standin()) skip("about plyfs itself");
    Ran help = run_plyfs({"--help"});
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    for (std::string word : {"lowerdir", "max-stack-depth", "transport", "create"}) {
        CAPTURE(word);
        CHECK(help.out.find(word) != std::string::npos);
    }
    Ran version = run_plyfs({"--version"});
    CHECK(version.code == 0);
    CHECK(version.out.find("libfuse") != std::string::npos);
}

// What can not be mounted is said in one line that names it and how to mend it, with mount(8)'s exit codes,
// and leaves nothing behind.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
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
        CHECK(list_dir(mnt) == mnt_holds);
    }
    Scratch scratch;
    LoopFs disk, other;
    std::string mnt;
    std::vector<std::string> mnt_holds;
};

}  // namespace

TEST_CASE("bad input: missing branches, and what is no directory") {
    Ground g;
    write_file(g.disk / "file", "x");
    g.refused({(g.disk / "never") + "=rw", g.mnt}, kMountFailure, {g.disk / "never"});
    g.refused({(g.disk / "a") + "=rw:" + (g.disk / "never") + "=ro", g.mnt}, kMountFailure, {g.disk / "never"});
    g.refused({(g.disk / "file") + "=rw", g.mnt}, kMountFailure, {g.disk / "file"});
    g.refused({(g.disk / "two\nlines") + "=rw", g.mnt}, kMountFailure, {"two\\012lines"});
    g.refused({"-o", g.layers() + "x,workdir=" + (g.disk / "work"), g.mnt}, kMountFailure, {"upperx"});
    g.refused({(g.disk / "a") + "=rw", g.disk / "no_mountpoint"}, kMountFailure, {"no_mountpoint"});
}

TEST_CASE("bad input: branches, mountpoint and each other") {
    Ground g;
    make_dirs(g.disk / "upper/inside");
    g.refused({"-o", g.layers() + ",workdir=" + (g.disk / "upper/inside"), g.mnt}, kMountFailure,
              {"workdir " + (g.disk / "upper/inside"), "upperdir " + (g.disk / "upper;")});
    CHECK(list_dir(g.disk / "upper/inside").empty());
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
    if (!is_unprivileged()) {
        Mounted kernel("overlay", first, "overlay", 0, g.layers() + ",workdir=" + (g.disk / "work"));
        g.refused({"-o", second, g.mnt}, kMountFailure, {"upperdir=" + (g.disk / "upper"), "overlayfs on " + first});
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

TEST_CASE("bad input: help that nobody can read is an error") {
    if (is_standin()) skip("about plyfs itself");
    for (const char* word : {"--help", "--version"}) {
        const Ran ran = run({"sh", "-c", plyfs_binary() + " " + word + " >/dev/full"});
        CHECK(ran.code == 2);
        CHECK(ran.err.find("No space left") != std::string::npos);
    }
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

TEST_CASE("bad input: a log that can not be kept, and configuration files that are none") {
    Ground g;
    const std::string a = g.disk / "a";
    make_dirs(g.mnt + "/in");
    g.mnt_holds = {"in"};
    g.refused({"-o", "log.file=" + g.mnt + "/log", a, g.mnt}, kMountFailure, {g.mnt + "/log", "in the mount itself"});
    g.refused({"-o", "log.file=" + g.mnt + "/in/log", a, g.mnt}, kMountFailure, {"in the mount itself"});
    g.refused({"-o", "log.file=" + (g.disk / "never/log"), a, g.mnt}, kMountFailure,
              {g.disk / "never/log", "create it"});
    g.refused({"-o", "log.file=" + a, a, g.mnt}, kMountFailure, {a, "is a directory"});
    CHECK_FALSE(exists(g.disk / "never"));
    OK(::mkfifo((g.disk / "fifo").c_str(), 0600));
    for (const std::string& file : {std::string("/dev/zero"), g.disk / "fifo", a}) {
        g.refused({"-o", "config=" + file, g.mnt}, kUsage, {file, "no regular file"});
    }
    write_file(g.disk / "long.yaml", std::string(2 << 20, '#'));
    g.refused({"-o", "config=" + (g.disk / "long.yaml"), g.mnt}, kUsage, {"long.yaml", "megabyte"});
}

TEST_CASE("bad input: pools") {
    Ground g;
    make_dirs(g.disk / "a/in");
    make_dirs(g.mnt + "/in");
    write_file(g.disk / "file", "x");
    const std::string a = g.disk / "a", b = g.disk / "b", both = a + ":" + b;
    g.mnt_holds = {"in"};
    // One line each, with what is wrong, its value, and where it stands.
    g.refused({a + ":" + a + "/in", g.mnt}, kMountFailure, {"branch " + a + "/in", "inside branch " + a + ","});
    g.refused({a + "/in:" + a, g.mnt}, kMountFailure, {"branch " + a + "/in", "inside branch " + a + ","});
    g.refused({both + ":" + a, g.mnt}, kUsage, {a, "twice"});
    g.refused({both + ":" + a + "/../b", g.mnt}, kMountFailure, {a + "/../b", "same directory as branch " + b});
    g.refused({a + ":" + g.mnt + "/in", g.mnt}, kMountFailure, {g.mnt + "/in", "inside the mountpoint " + g.mnt});
    g.refused({a + ":" + g.mnt, g.mnt}, kMountFailure, {"mountpoint " + g.mnt, "branch " + g.mnt});
    g.refused({both, a + "/in"}, kMountFailure, {"mountpoint " + a + "/in", "inside branch " + a});
    g.refused({a + ":" + (g.disk / "file"), g.mnt}, kMountFailure, {"branch " + (g.disk / "file"), "not a directory"});
    g.refused({a + ":" + (g.disk / "none*"), g.mnt}, kMountFailure, {"branches", "pattern " + (g.disk / "none*")});
    const std::string misplaced = "branches=" + a + "=RW,50G:" + b;
    g.refused({"-o", misplaced, g.mnt}, kUsage, {"'50G:" + b + "'", "backslash before the comma"});
    const struct {
        std::string option, value;
        std::vector<std::string> words;
    } rows[] = {
        {"minfreespace", "-5G", {"free space"}},
        {"minfreespace", "5X", {"free space"}},
        {"minfreespace", "120%", {"0% to 100%"}},
        {"moveonenospc-reserve", "-1", {"free space"}},
        {"fuse-msg-size", "-4", {"size"}},
        {"cache.attr", "-1", {"seconds"}},
        {"category.create", "mostfree", {"unknown policy", "pfrd"}},
        {"category.create", "mfss", {"unknown policy", "did you mean 'mfs'"}},
        {"category.search", "epmsf", {"unknown policy", "did you mean 'epmfs'"}},
        {"func.unlink", "nosuch", {"unknown policy", "epall"}},
        {"moveonenospc", "maybe", {"unknown policy", "mspmfs"}},
        {"statfs-ignore", "rw", {"none", "nc"}},
    };
    for (const auto& row : rows) {
        std::vector<std::string> words = row.words;
        words.insert(words.end(), {"'" + row.value + "'", row.option + ":"});
        g.refused({"-o", row.option + "=" + row.value, both, g.mnt}, kUsage, words);
        // In a file the place is a line.
        words.back() = "pool.yaml:2:";
        write_file(g.disk / "pool.yaml", "branches: " + both + "\n" + row.option + ": \"" + row.value + "\"\n");
        g.refused({"-o", "config=" + (g.disk / "pool.yaml"), g.mnt}, kUsage, words);
        words.back() = "pool.conf:2:";
        write_file(g.disk / "pool.conf", "branches=" + both + "\n" + row.option + "=" + row.value + "\n");
        g.refused({"-o", "config=" + (g.disk / "pool.conf"), g.mnt}, kUsage, words);
    }
    g.refused({a + "=RW,-1G:" + b, g.mnt}, kUsage, {"BRANCHES " + a + "=RW,-1G:" + b, "'-1G'"});
    g.refused({a + "=XX:" + b, g.mnt}, kUsage, {"BRANCHES " + a, "branch mode 'XX'"});
}

TEST_CASE("bad input: a pool that has no room for anything says so") {
    Ground g;
    const std::string both = (g.disk / "a") + ":" + (g.disk / "b");
    for (const std::string size : {"1T", "0"}) {
        const Ran ran = run_plyfs({"-o", "transport=" + wanted_transport() + ",minfreespace=" + size, both, g.mnt});
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        Mount mount = Mount::adopt(g.mnt);
        const bool refused = size == "1T";
        CHECK((ran.err.find("minfreespace") != std::string::npos) == refused);
        CHECK(try_open(mount / "f", O_CREAT | O_WRONLY) == (refused ? ENOSPC : 0));
    }
}

// Directories of a pool that get parts and lose them while they are used.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/stats.h"

using namespace plyfs::test;

namespace {

struct Disks {
    Disks() : disk("tmpfs", scratch.path(), "disk", 128) {
        if (is_standin()) skip("about plyfs itself");
        for (const char* name : {"a", "b", "c"}) disk.dir(name);
    }
    std::string branches() const { return disk / "a" + ":" + disk / "b" + ":" + disk / "c"; }
    Scratch scratch;
    LoopFs disk;
};

constexpr int kWriters = 6;
constexpr int kDirs = 150;

// One of several processes that all do the same, in a hurry. What it wins of the names that only one may make.
int make_all(const std::string& top, int number) {
    int won = 0;
    for (int i = 0; i < kDirs; ++i) {
        const std::string dir = top + "/d" + std::to_string(i);
        ::mkdir(dir.c_str(), 0755);
        const int log = ::open((dir + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        const std::string line = std::to_string(number) + "\n";
        if (log < 0 || ::write(log, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return -1;
        ::close(log);
        const int only = ::open((dir + "/only").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (only < 0 && errno != EEXIST) return -1;
        if (only >= 0) ++won;
        ::close(only);
    }
    return won;
}

}  // namespace

TEST_CASE("pool shape: directories that several make parts of at once stay one, with one file of each name") {
    for (const char* policy : {"create=rand", "create=pfrd"}) {
        CAPTURE(policy);
        Disks disks;
        Mount mount(std::string("minfreespace=0,") + policy, disks.branches(), disks.scratch.dir("mnt"));
        int pipes[2];
        OK(::pipe2(pipes, O_CLOEXEC));
        std::vector<pid_t> children;
        for (int i = 0; i < kWriters; ++i) {
            const pid_t child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                const int won = make_all(mount.path(), i);
                ::_exit(::write(pipes[1], &won, sizeof won) == sizeof won ? 0 : 1);
            }
            children.push_back(child);
        }
        int won = 0;
        for (const pid_t child : children) {
            int one = 0;
            REQUIRE(::read(pipes[0], &one, sizeof one) == sizeof one);
            CHECK(one >= 0);
            won += one;
            OK(::waitpid(child, nullptr, 0));
        }
        ::close(pipes[0]);
        ::close(pipes[1]);
        CHECK(won == kDirs);
        int whole = 0;
        for (int i = 0; i < kDirs; ++i) {
            const std::string text = read_file(mount / "d" + std::to_string(i) + "/log");
            if (std::count(text.begin(), text.end(), '\n') == kWriters) ++whole;
        }
        CHECK(whole == kDirs);
    }
}

TEST_CASE("pool shape: who stands in a directory stays there when its first part goes from the branch") {
    Disks disks;
    for (const char* dir : {"a/x", "b/x"}) disks.disk.dir(dir);
    write_file(disks.disk / "b/x/kept", "kept");
    Mount mount("minfreespace=0", disks.branches(), disks.scratch.dir("mnt"));
    const UniqueFd inside = open_file(mount / "x", O_RDONLY | O_DIRECTORY);
    const auto number = stat_of(inside.get()).st_ino;
    OK(::rmdir((disks.disk / "a/x").c_str()));
    nap(1200);  // what the kernel remembers
    CHECK(stat_of(inside.get()).st_ino == number);
    const UniqueFd kept(::openat(inside.get(), "kept", O_RDONLY));
    CHECK(kept.valid());
    const UniqueFd made(::openat(inside.get(), "new", O_WRONLY | O_CREAT, 0600));
    CHECK(made.valid());
    CHECK(exists(mount / "x/new"));
    CHECK(list_dir(mount / "x") == std::vector<std::string>{"kept", "new"});
    CHECK(stat_of(mount / "x").st_ino == number);
}

TEST_CASE("pool shape: a directory made anew on its only branch is the new one at once") {
    Disks disks;
    disks.disk.dir("a/q");
    write_file(disks.disk / "a/q/old", "");
    Mount mount("minfreespace=0,create=ff", disks.branches(), disks.scratch.dir("mnt"));
    CHECK(exists(mount / "q/old"));
    OK(::unlink((disks.disk / "a/q/old").c_str()));
    OK(::rmdir((disks.disk / "a/q").c_str()));
    disks.disk.dir("a/q");
    write_file(disks.disk / "a/q/new", "");
    CHECK(exists(mount / "q/new"));
    write_file(mount / "q/mine", "");
    CHECK(exists(disks.disk / "a/q/mine"));
}

TEST_CASE("pool shape: a directory whose name leads to another branch is walked to again") {
    Disks disks;
    disks.disk.dir("a/g");
    Mount mount("minfreespace=0,attr_timeout=0,entry_timeout=60", disks.branches(), disks.scratch.dir("mnt"));
    const UniqueFd inside = open_file(mount / "g", O_RDONLY | O_DIRECTORY);
    OK(::rmdir((disks.disk / "a/g").c_str()));
    struct stat st;
    CHECK(::fstat(inside.get(), &st) != 0);
    disks.disk.dir("b/g");
    CHECK(exists(mount / "g"));
    CHECK(list_dir(mount / "g").empty());
}

TEST_CASE("pool shape: who stands in a directory stays there when a branch before its first gets a part") {
    for (const std::string calc : {"stable", "hybrid-hash", "devino-hash", "passthrough"}) {
        CAPTURE(calc);
        Disks disks;
        for (const char* dir : {"b/x/sub", "c/x"}) make_dirs(disks.disk / dir);
        write_file(disks.disk / "b/x/kept", "kept");
        Mount mount("minfreespace=0,inodecalc=" + calc, disks.branches(), disks.scratch.dir("mnt"));
        const UniqueFd inside = open_file(mount / "x", O_RDONLY | O_DIRECTORY);
        const auto number = stat_of(inside.get()).st_ino;
        make_dirs(disks.disk / "a/x");
        write_file(disks.disk / "a/x/early", "early");
        nap(1200);  // what the kernel remembers
        CHECK(stat_of(mount / "x").st_ino == number);
        CHECK(stat_of(inside.get()).st_ino == number);
        // It is one directory, by whatever way.
        const UniqueFd early(::openat(inside.get(), "early", O_RDONLY));
        CHECK(early.valid());
        const UniqueFd made(::openat(inside.get(), "new", O_WRONLY | O_CREAT, 0600));
        CHECK(made.valid());
        CHECK(list_dir(mount / "x") == std::vector<std::string>{"early", "kept", "new", "sub"});
        OK(::rename((mount / "x").c_str(), (mount / "y").c_str()));
        const UniqueFd kept(::openat(inside.get(), "kept", O_RDONLY));
        CHECK(kept.valid());
        CHECK_FALSE(exists(mount / "x"));
        for (const char* part : {"a/y", "b/y", "c/y"}) CHECK(exists(disks.disk / part));
    }
}

TEST_CASE("pool shape: what is mounted in a directory stays when its parts come and go on the branches") {
    need_privilege("mounts");
    Disks disks;
    make_dirs(disks.disk / "b/x/on");
    Mount mount("minfreespace=0", disks.branches(), disks.scratch.dir("mnt"));
    Mounted inside("none", mount / "x/on", "tmpfs", 0, "size=1M");
    write_file(mount / "x/on/kept", "kept");
    make_dirs(disks.disk / "a/x");
    nap(1200);
    CHECK(read_file(mount / "x/on/kept") == "kept");
    make_dirs(disks.disk / "a/x/on");
    nap(1200);
    CHECK(read_file(mount / "x/on/kept") == "kept");
    OK(::rmdir((disks.disk / "b/x/on").c_str()));
    OK(::rmdir((disks.disk / "b/x").c_str()));
    nap(1200);
    CHECK(read_file(mount / "x/on/kept") == "kept");
}

TEST_CASE("pool shape: a part that goes is noticed by walking to the directory as well") {
    Disks disks;
    for (const char* dir : {"a/x", "b/x"}) make_dirs(disks.disk / dir);
    Mount mount("minfreespace=0", disks.branches(), disks.scratch.dir("mnt"));
    const UniqueFd inside = open_file(mount / "x", O_RDONLY | O_DIRECTORY);
    const auto number = stat_of(inside.get()).st_ino;
    OK(::rmdir((disks.disk / "a/x").c_str()));
    nap(1200);
    CHECK(stat_of(mount / "x").st_ino == number);
    CHECK(stat_of(inside.get()).st_ino == number);
    // And with what was its first part anew.
    make_dirs(disks.disk / "a/x");
    nap(1200);
    CHECK(stat_of(mount / "x").st_ino == number);
}

TEST_CASE("pool shape: who stands in a directory sees the parts that it gets on other branches") {
    Disks disks;
    make_dirs(disks.disk / "b/x/deep");
    Mount mount("minfreespace=0", disks.branches(), disks.scratch.dir("mnt"));
    const UniqueFd inside = open_file(mount / "x", O_RDONLY | O_DIRECTORY);
    const UniqueFd deep = open_file(mount / "x/deep", O_RDONLY | O_DIRECTORY);
    make_dirs(disks.disk / "c/x/deep");
    write_file(disks.disk / "c/x/late", "");
    write_file(disks.disk / "c/x/deep/late", "");
    nap(1200);  // as long as a name is believed
    const auto sees = [](const UniqueFd& dir, const char* name) { return ::faccessat(dir.get(), name, F_OK, 0) == 0; };
    CHECK(sees(deep, "late"));
    CHECK(sees(inside, "late"));
    CHECK(list_dir("/proc/self/fd/" + std::to_string(inside.get())) == std::vector<std::string>{"deep", "late"});
}

TEST_CASE("pool shape: at once where the names around it are known") {
    Disks disks;
    make_dirs(disks.disk / "b/x/deep");
    for (const char* dir : {"a/other", "b/other", "c/other"}) make_dirs(disks.disk / dir);
    Mount mount("minfreespace=0,entry_timeout=60,attr_timeout=60", disks.branches(), disks.scratch.dir("mnt"));
    const UniqueFd inside = open_file(mount / "x", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 60; ++i) REQUIRE_FALSE(exists(mount / "missing" + std::to_string(i)));
    make_dirs(disks.disk / "c/x");
    write_file(disks.disk / "c/x/late", "");
    CHECK(::faccessat(inside.get(), "late", F_OK, 0) == 0);
    CHECK(list_dir(mount / "x") == std::vector<std::string>{"deep", "late"});
    make_dirs(disks.disk / "outside/deep");
    write_file(disks.disk / "outside/early", "");
    OK(::rename((disks.disk / "outside").c_str(), (disks.disk / "a/x").c_str()));
    CHECK(list_dir(mount / "x") == std::vector<std::string>{"deep", "early", "late"});
    CHECK(::faccessat(inside.get(), "early", F_OK, 0) == 0);
    // Nothing is asked while nothing happens.
    const Counter done(mount.path());
    for (int i = 0; i < 10; ++i) CHECK_FALSE(exists(mount / "none" + std::to_string(i)));
    CHECK(done("branches_spared") == 10 * 3);
}

TEST_CASE("pool shape: no part of a directory is left at its old name by a rename") {
    Disks disks;
    make_dirs(disks.disk / "a/x");
    Mount mount("minfreespace=0,create=rand,entry_timeout=0", disks.branches(), disks.scratch.dir("mnt"));
    std::atomic<bool> done{false};
    std::thread maker([&] {
        // Each name is made on a branch of its own, and x with it.
        for (int i = 0; !done; ++i) {
            const std::string name = "/f" + std::to_string(i % 1000);
            const UniqueFd fd(::open((mount / "x" + name).c_str(), O_WRONLY | O_CREAT, 0600));
            if (fd.valid()) ::unlink((mount / "x" + name).c_str());
        }
    });
    int left = 0, failed = 0;
    for (int i = 0; i < 300; ++i) {
        failed += ::rename((mount / "x").c_str(), (mount / "y").c_str()) != 0;
        for (const char* part : {"a/x", "b/x", "c/x"}) {
            if (exists(disks.disk / part)) ++left;
        }
        // Where it has one part again.
        for (const char* part : {"b/y", "c/y"}) {
            for (const std::string& name :
                 exists(disks.disk / part) ? list_dir(disks.disk / part) : std::vector<std::string>()) {
                ::unlink((disks.disk / part + "/" + name).c_str());
            }
            ::rmdir((disks.disk / part).c_str());
        }
        failed += ::rename((mount / "y").c_str(), (mount / "x").c_str()) != 0;
    }
    done = true;
    maker.join();
    CHECK(failed == 0);
    CHECK(left == 0);
}

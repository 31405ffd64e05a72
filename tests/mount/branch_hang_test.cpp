// Branches that stop answering. The branch is a pool of one on FUSE, whose daemon is stopped: who asks it waits in the
// kernel, as for a server that is gone.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

using namespace plyfs::test;

namespace {

using Clock = std::chrono::steady_clock;

// Nothing of it is remembered by the kernel, so that each call asks it; and what it has not read can be taken back from
// it, as from a server, which what is on a ring can not.
class SilentBranch {
  public:
    SilentBranch(const std::string& source, const std::string& mountpoint) : mountpoint_(mountpoint) {
        const std::string options =
            "transport=devfuse,passthrough=off,cache.attr=0,cache.entry=0,create=ff,minfreespace=0";
        const Ran ran = run_plyfs({"-o", options, source, mountpoint});
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        pid_ = static_cast<pid_t>(Stats::read(mountpoint)["pid"]);
    }
    ~SilentBranch() {
        answer();
        if (!eventually([&] { return ::umount2(mountpoint_.c_str(), 0) == 0; })) FAILED_CHECK("the branch stays busy");
    }
    void hang() const { stop_process(pid_); }
    void answer() const { ::kill(pid_, SIGCONT); }

  private:
    const std::string mountpoint_;
    pid_t pid_ = -1;
};

struct Ground {
    Ground() {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("a branch on FUSE");
        make_dirs(local + "/here");
        write_file(local + "/here/f", "local");
        make_dirs(remote + "/there");
        for (int i = 0; i < 100; ++i) write_file(remote + "/there/f" + std::to_string(i), "remote");
        branch = std::make_unique<SilentBranch>(remote, silent);
    }
    std::string options(int timeout) const {
        return "create=ff,minfreespace=0,branch-timeout=" + std::to_string(timeout);
    }
    Scratch scratch;
    const std::string local = scratch.dir("local"), remote = scratch.dir("remote"), silent = scratch.dir("silent"),
                      mnt = scratch.dir("mnt");
    std::unique_ptr<SilentBranch> branch;
};

// One thread serves a ring.
void need_readers() {
    if (wanted_transport() == "io_uring") skip("whoever waits on a ring keeps its CPU's others waiting");
}

int requests_waiting(const Mount& mount) {
    int count = 0;
    std::ifstream("/sys/fs/fuse/connections/" + std::to_string(mount.connection()) + "/waiting") >> count;
    return count;
}

int ask_attributes(int fd) {
    struct statx st;
    return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) == 0 ? 0 : errno;
}

// What one does in a directory: 0 or errno; ETIME: a call took longer than any should.
int work_in(const std::string& dir) {
    const auto began = Clock::now();
    for (int i = 0; i < 20; ++i) {
        const std::string fresh = dir + "/new" + std::to_string(i);
        struct stat st;
        if (::stat((dir + "/f").c_str(), &st) != 0) return errno;
        const int fd = ::open(fresh.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0 || ::write(fd, "x", 1) != 1 || ::close(fd) != 0 || ::unlink(fresh.c_str()) != 0) return errno;
    }
    return Clock::now() - began < std::chrono::milliseconds(1500) ? 0 : ETIME;
}

// Until it is seen that a look at a branch takes long: there is one each second, 0.7 s are long, seen within 0.25 s.
void wait_until_late() {
    nap(2200);
}

bool is_zombie(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("State:")) return line.find('Z') != std::string::npos;
    }
    return false;
}

}  // namespace

TEST_CASE("branch hang: a hundred wait there, nobody elsewhere, they are told in time, and it comes back") {
    constexpr int kTimeout = 6;
    need_readers();
    Ground g;
    const std::string log = g.scratch.path() + "/log";
    Mount mount(g.options(kTimeout) + ",log.file=" + log, g.local + ":" + g.silent, g.mnt);
    CHECK(work_in(mount / "here") == 0);
    UniqueFd there = open_file(mount / "there", O_RDONLY | O_DIRECTORY);
    std::vector<UniqueFd> files;
    for (int i = 0; i < 50; ++i) files.push_back(open_file(mount / "there/f" + std::to_string(i), O_RDONLY));
    g.branch->hang();
    std::vector<std::unique_ptr<Child>> stuck;
    for (int i = 0; i < 50; ++i) {
        stuck.push_back(
            std::make_unique<Child>([fd = files[static_cast<std::size_t>(i)].get()] { return ask_attributes(fd); }));
        stuck.push_back(std::make_unique<Child>([dir = there.get(), i] {
            const std::string name = "f" + std::to_string(50 + i);
            return ::openat(dir, name.c_str(), O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
        }));
    }
    const auto began = Clock::now();
    CHECK(eventually([&] { return requests_waiting(mount) >= 100; }));
    wait_until_late();
    CHECK(in_child([&] { return work_in(mount / "here"); }) == 0);
    struct statvfs space;
    OK(::statvfs(mount.path().c_str(), &space));
    CHECK(mount.stats().text("branch.1.hangs") == "no");
    REQUIRE(Clock::now() - began < std::chrono::seconds(kTimeout));

    for (auto& child : stuck) CHECK(child->wait(kTimeout + 5) == ETIMEDOUT);
    CHECK(mount.stats().text("branch.1.hangs") == "yes");
    CHECK(mount.stats().text("branch.1.present") == "no");
    CHECK(run_plyctl({"status", g.mnt}).out.find("hangs for") != std::string::npos);
    CHECK(run_plyctl({"list"}).out.find("1 hanging") != std::string::npos);
    CHECK(read_file(log).find(g.silent + ": has not answered for 6 s") != std::string::npos);
    CHECK(in_child([&] { return ask_attributes(files[0].get()); }, 3) == ETIMEDOUT);
    // As of a branch that is missing.
    CHECK(in_child([&] { return ::access((mount / "there").c_str(), F_OK) == 0 ? 0 : errno; }, 3) == ENOENT);
    CHECK(in_child([&] { return work_in(mount / "here"); }) == 0);
    write_file(mount / "fresh", "x");
    CHECK(read_file(g.local + "/fresh") == "x");

    g.branch->answer();
    CHECK(eventually([&] { return exists(mount / "there/f99"); }, 8000));
    CHECK(mount.stats().text("branch.1.hangs") == "no");
    CHECK(read_file(mount / "there/f7") == "remote");
    CHECK(read_fd(files[3].get()) == "remote");
    CHECK(ask_attributes(files[3].get()) == 0);
    CHECK(read_file(log).find(g.silent + ": answers again") != std::string::npos);
}

TEST_CASE("branch hang: the mount can be undone meanwhile, and its daemon ends") {
    Ground g;
    for (const bool somebody_waits : {false, true}) {
        CAPTURE(somebody_waits);
        Mount mount(g.options(120), g.local + ":" + g.silent, g.mnt);
        const auto daemon = static_cast<pid_t>(mount.stats()["pid"]);
        CHECK(read_file(mount / "there/f1") == "remote");
        g.branch->hang();
        wait_until_late();
        if (somebody_waits) {
            // The kernel waits for the answer to what we have read, even if he who asked is killed: umount -f.
            Child stuck([&] { return ::access((mount / "there/f2").c_str(), F_OK) == 0 ? 0 : errno; });
            CHECK(eventually([&] { return requests_waiting(mount) > 0; }));
            OK(::umount2(mount.path().c_str(), MNT_FORCE | MNT_DETACH));
            const int told = stuck.wait(5);
            CHECK((told == ECONNABORTED || told == ENOTCONN));
        } else {
            CHECK(eventually([&] { return ::umount2(mount.path().c_str(), 0) == 0; }, 1000));
        }
        CHECK_FALSE(is_mounted(mount.path()));
        // What the branch had read of its requests before it was stopped keeps a thread in the kernel, and so the
        // process, which has ended all the same.
        CHECK(eventually([&] { return !is_alive(daemon) || is_zombie(daemon); }, 8000));
        g.branch->answer();
        mount.unmount();
    }
}

TEST_CASE("branch hang: nothing of a layer is passed over, and who wants it is told") {
    constexpr int kTimeout = 3;
    need_readers();
    Ground g;
    const std::string work = g.scratch.dir("work");
    Mount mount("cache.attr=0,cache.entry=0,cache.negative-entry=0,branch-timeout=" + std::to_string(kTimeout) +
                    ",lowerdir=" + g.silent + ",upperdir=" + g.local + ",workdir=" + work,
                "", g.mnt);
    CHECK(read_file(mount / "there/f1") == "remote");
    g.branch->hang();
    const auto look = [&](const std::string& name) {
        return in_child([&] { return ::access((mount / name).c_str(), F_OK) == 0 ? 0 : errno; }, kTimeout + 6);
    };
    // The first waits for as long as a branch may take, all others are told at once.
    CHECK(look("there/f2") == ETIMEDOUT);
    const auto began = Clock::now();
    for (std::string name : {"there/f2", "there/f1", "missing", "there"}) CHECK(look(name) == ETIMEDOUT);
    CHECK(Clock::now() - began < std::chrono::seconds(2));
    CHECK(mount.stats().text("branch.1.hangs") == "yes");
    CHECK(mount.stats().text("branch.1.present") == "yes");
    g.branch->answer();
    CHECK(eventually([&] { return look("there/f2") == 0; }, 8000));
    CHECK(look("missing") == ENOENT);
    CHECK(read_file(mount / "there/f1") == "remote");
}

TEST_CASE("branch hang: another daemon does not wait for it, and takes it in when it answers") {
    Ground g;
    if (wanted_transport() == "io_uring") skip("rings end with the daemon that has them");
    std::string how;
    SUBCASE("after a kill") {
        how = "kill";
    }
    SUBCASE("for a change of the branches") {
        how = "change";
    }
    const std::string more = g.scratch.dir("more");
    const std::string supervise = how == "kill" ? ",supervise=on" : "";
    const Mount mount(g.options(2) + supervise, g.local + ":" + g.silent, g.mnt);
    CHECK(read_file(mount / "there/f1") == "remote");
    const auto daemon_now = [&] { return static_cast<pid_t>(Stats::read(g.mnt)["pid"]); };
    const pid_t old = daemon_now();
    g.branch->hang();
    REQUIRE(eventually([&] { return run_plyctl({"status", g.mnt}).out.find("hangs") != std::string::npos; }, 20000));
    const auto began = Clock::now();
    if (how == "kill") {
        OK(::kill(old, SIGKILL));
    } else {
        const Ran ran = run_plyctl({"branch", "add", g.mnt, more}, 30);
        INFO(ran.out, ran.err);
        CHECK(ran.code == 0);
    }
    CHECK(read_file(mount / "here/f") == "local");
    CHECK(Clock::now() - began < std::chrono::seconds(8));
    CHECK(work_in(mount / "here") == 0);
    CHECK(daemon_now() != old);
    CHECK_FALSE(exists(mount / "there/f1"));
    g.branch->answer();
    CHECK(eventually([&] { return exists(mount / "there/f1"); }, 20000));
    CHECK(read_file(mount / "there/f1") == "remote");
}

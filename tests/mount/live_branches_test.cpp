// Branches that come to a mounted pool and leave it. Whoever uses the pool meanwhile must not notice more than what is
// on them.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "live_ground.h"
#include "support/workers.h"

using namespace plyfs::test;

namespace {

std::set<pid_t> children_of(pid_t pid) {
    std::set<pid_t> out;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : list_dir(tasks)) {
        std::ifstream in(tasks + "/" + task + "/children");
        for (pid_t child; in >> child;) out.insert(child);
    }
    return out;
}

}  // namespace

TEST_CASE("live branches: what is on a branch comes and goes with it, and open files go on") {
    LiveGround g;
    const UniqueFd reader = open_file(g / "f", O_RDONLY);
    const UniqueFd writer = open_file(g / "w", O_CREAT | O_RDWR);
    const UniqueFd dir = open_file(g.mnt, O_RDONLY | O_DIRECTORY);
    std::atomic<int> failures = 0;
    std::jthread busy([&](const std::stop_token& stop) {
        for (int i = 0; !stop.stop_requested(); ++i) {
            int back = 0;
            if (::pwrite(writer.get(), &i, sizeof i, 0) != sizeof i) ++failures;
            if (::pread(writer.get(), &back, sizeof back, 0) != sizeof back || back != i) ++failures;
        }
    });
    CHECK(list_dir(g.mnt) == Names{"f", "w"});
    CHECK(has(g.ask({"branch", "add", g.c}), "3 branches"));
    CHECK(g.branches() == Names{g.a, g.b, g.c});
    CHECK(list_dir(g.mnt) == Names{"f", "g", "only", "w"});
    CHECK(read_file(g / "g") == "of c");
    CHECK(::faccessat(dir.get(), "only/there", F_OK, 0) == 0);
    write_file(g / "g", "of c, changed");
    CHECK(read_file(g.c + "/g") == "of c, changed");
    g.ask({"branch", "remove", g.c});
    CHECK(list_dir(g.mnt) == Names{"f", "w"});
    FAILS(ENOENT, ::access((g / "g").c_str(), F_OK));
    CHECK(read_file(g.c + "/g") == "of c, changed");
    busy.request_stop();
    busy.join();
    CHECK(failures == 0);
    CHECK(read_fd(reader.get()) == "of a");
    OK(::fsync(writer.get()));
    OK(::ftruncate(writer.get(), 2));
    CHECK(stat_of(g.a + "/w").st_size == 2);
    CHECK(g.takeovers() == 2);
}

TEST_CASE("live branches: what the kernel remembers is asked anew") {
    LiveGround g("supervise=on,cache.readdir=true");
    write_file(g.b + "/both", "of b");
    write_file(g.c + "/both", "of c, longer");
    CHECK(eventually([&] { return list_dir(g.mnt) == Names{"both", "f"}; }));
    CHECK(read_file(g / "both") == "of b");
    CHECK(list_dir(g.mnt) == Names{"both", "f"});
    g.ask({"branch", "add", g.c, "--first"});
    CHECK(g.branches() == Names{g.c, g.a, g.b});
    CHECK(eventually([&] { return list_dir(g.mnt) == Names{"both", "f", "g", "only"}; }, 3000));
    CHECK(eventually([&] { return read_file(g / "both") == "of c, longer"; }, 3000));
    CHECK(stat_of(g / "both").st_size == 12);
    write_file(g / "new", "");
    CHECK(list_dir(g.c) == Names{"both", "g", "new", "only"});
    g.ask({"branch", "remove", g.c});
    CHECK(eventually([&] { return list_dir(g.mnt) == Names{"both", "f"}; }, 3000));
    CHECK(eventually([&] { return read_file(g / "both") == "of b"; }, 3000));
}

TEST_CASE("live branches: of changes at the same time each is made") {
    LiveGround g;
    std::vector<std::unique_ptr<Child>> askers;
    Names wanted = {g.a, g.b};
    for (int i = 0; i < 8; ++i) {
        wanted.push_back(g.scratch.dir("disk" + std::to_string(i)));
        askers.push_back(std::make_unique<Child>([&g, path = wanted.back()] {
            const Ran ran = run_plyctl({"branch", "add", g.mnt, path}, 60);
            std::fputs(ran.err.c_str(), stderr);
            return ran.code;
        }));
    }
    for (auto& asker : askers) CHECK(asker->wait(60) == 0);
    Names there = g.branches();
    std::sort(there.begin() + 2, there.end());
    CHECK(there == wanted);
    CHECK(g.takeovers() == 8);
}

TEST_CASE("live branches: daemons that are killed between changes are followed by others") {
    LiveGround g;
    for (int i = 0; i < 7; ++i) {
        g.ask({"branch", i % 2 == 0 ? "add" : "remove", g.c});
        const pid_t daemon = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
        OK(::kill(daemon, SIGKILL));
        REQUIRE(eventually([&] { return Stats::read(g.mnt)["pid"] != daemon; }, 20000));
    }
    CHECK(g.branches() == Names{g.a, g.b, g.c});
}

TEST_CASE("live branches: a dozen processes work while branches come and go, and no one sees an error") {
    LiveGround g;
    Workers workers(g.mnt, g.scratch.path());
    for (int i = 0; i < 5; ++i) {
        nap(200);
        g.ask({"branch", "add", g.c});
        CHECK(read_file(g / "g") == "of c");
        nap(200);
        g.ask({"branch", "remove", g.c});
    }
    workers.end();
    CHECK(g.takeovers() == 10);
}

TEST_CASE("live branches: a branch becomes read-only and can be written to again") {
    LiveGround g;
    g.ask({"branch", "add", g.c});
    UniqueFd reader = open_file(g / "g", O_RDONLY);
    {
        const UniqueFd writer = open_file(g / "g", O_WRONLY);
        CHECK(has(g.refused({"branch", "mode", g.c, "ro"}),
                  "1 open for writing on a branch that becomes read-only, such as /g"));
    }
    // Closing reaches the daemon a moment later.
    CHECK(eventually([&] { return run_plyctl({"branch", "mode", g.mnt, g.c, "ro"}).code == 0; }));
    write_file(g / "g", "copied up");
    CHECK(read_file(g.c + "/g") == "of c");
    CHECK(read_file(g.a + "/g") == "copied up");
    reader.reset();
    CHECK(g.mount->backings_settle());
    OK(::unlink((g / "g").c_str()));
    CHECK(list_dir(g.mnt) == Names{"f", "only"});
    g.ask({"branch", "mode", g.c, "rw"});
    OK(::rmdir((g / "only/there").c_str()));
    CHECK(list_dir(g.c + "/only").empty());
    CHECK(has(g.refused({"branch", "mode", g.c, "rx"}, kUsage), "unknown branch mode"));
    for (const auto& branch : {g.a, g.b}) g.ask({"branch", "mode", branch, "ro"});
    CHECK(has(g.refused({"branch", "mode", g.c, "ro"}), "becomes read-only with a new mount only"));
}

TEST_CASE("live branches: mergerfs' words for them") {
    LiveGround g;
    CHECK(set_branches(g, "+>" + g.c + "=NC") == 0);
    CHECK(g.branches() == Names{g.a, g.b, g.c});
    char value[4096] = {};
    CHECK(::getxattr((g / ".mergerfs").c_str(), "user.mergerfs.branches", value, sizeof value) > 0);
    CHECK(std::string(value) == g.a + "=RW:" + g.b + "=RW:" + g.c + "=NC");
    CHECK(set_branches(g, "-<") == 0);
    CHECK(g.branches() == Names{g.b, g.c});
    CHECK(set_branches(g, "+<" + g.a) == 0);
    CHECK(g.branches() == Names{g.a, g.b, g.c});
    CHECK(set_branches(g, "-*/[bc]") == 0);
    CHECK(g.branches() == Names{g.a});
    CHECK(set_branches(g, g.c + ":" + g.a) == 0);
    CHECK(g.branches() == Names{g.c, g.a});
    CHECK(set_branches(g, "->") == 0);
    CHECK(g.branches() == Names{g.c});
    CHECK(set_branches(g, "=" + g.a + ":" + g.b) == 0);
    CHECK(g.branches() == Names{g.a, g.b});
    for (const char* bad : {"+>/nowhere/at/all", "-/nowhere", "+>", "->x", "+/=rx"}) {
        CAPTURE(bad);
        CHECK(set_branches(g, bad) == EINVAL);
    }
    CHECK(g.branches() == Names{g.a, g.b});
    CHECK(g.takeovers() == 7);
}

TEST_CASE("live branches: what can not be is refused, and nothing changes") {
    LiveGround g;
    OK(::symlink(g.a.c_str(), (g.scratch.path() + "/link").c_str()));
    CHECK(has(g.refused({"branch", "add", "/nowhere"}), "branch /nowhere: no such directory"));
    CHECK(has(g.refused({"branch", "add", g.scratch.path() + "/link"}), "the same directory as branch " + g.a));
    CHECK(has(g.refused({"branch", "add", g.a + "/f"}), "branch " + g.a + "/f: not a directory"));
    OK(::mkdir((g.a + "/inner").c_str(), 0755));
    CHECK(has(g.refused({"branch", "add", g.a + "/inner"}), "lies inside branch " + g.a));
    CHECK(has(g.refused({"branch", "add", g / "inner"}), "lies inside the mountpoint"));
    CHECK(has(g.refused({"branch", "add", g.c + "=rx"}, kUsage), "unknown branch mode 'rx'"));
    CHECK(has(run_plyctl({"set", g.mnt, "branches=" + g.c}).err, "plyctl branch add and branch remove change them"));
    CHECK(has(g.refused({"branch", "remove", "/nowhere/"}), "'/nowhere' is no branch of this mount"));
    CHECK(has(g.refused({"branch", "remove", g.a, g.b}), "at least one branch"));
    const std::string both = g.refused({"branch", "add", "/nowhere", g.a});
    CHECK(has(both, "the branches would have 2 faults"));
    CHECK(has(both, "branch /nowhere: no such directory"));
    CHECK(has(both, "the same directory as branch " + g.a));
    CHECK(g.branches() == Names{g.a, g.b});
    CHECK(g.takeovers() == 0);
}

TEST_CASE("live branches: reload has those that the configuration says by now, and that fit its patterns") {
    LiveGround g;
    const std::string mnt = g.scratch.dir("other"), file = g.scratch.path() + "/pool.yaml";
    const auto write = [&](const std::string& branches, const std::string& more) {
        write_file(file,
                   "branches: [" + branches + "]\nmountpoint: " + mnt + "\nsupervise: on\nminfreespace: 0\n" + more);
    };
    const std::string disks = g.scratch.path() + "/disk";
    for (const char* disk : {"1", "2"}) make_dirs(disks + disk);
    write_file(disks + "2/there", "");
    write("'" + disks + "[1-3]'", "create: ff\n");
    Mount mount("config=" + file, "", mnt);
    const auto shown = [&](const char* option) { return run_plyctl({"get", mnt, option}).out; };
    CHECK(has(run_plyctl({"reload", mnt}).out, "nothing changed"));
    make_dirs(disks + "3");
    write("'" + disks + "[1-3]'", "create: lfs\nrules:\n  - {path: /r, branches: [" + disks + "3]}\n");
    CHECK(has(run_plyctl({"reload", mnt}).out, "read again, with 3 branches"));
    CHECK(shown("branches") == disks + "1=RW:" + disks + "2=RW:" + disks + "3=RW\n");
    CHECK(shown("func.create") == "lfs\n");
    OK(::mkdir((mnt + "/r").c_str(), 0755));
    CHECK(list_dir(disks + "3") == Names{"r"});
    // Open files, a rule without its branch: nothing of it is taken.
    {
        const UniqueFd open = open_file(mnt + "/there", O_RDONLY);
        write(disks + "1, " + disks + "3", "create: mfs\n");
        CHECK(has(run_plyctl({"reload", mnt}).err, "open on a branch that leaves, such as /there"));
        CHECK(shown("func.create") == "lfs\n");
    }
    CHECK(mount.backings_settle());
    write(disks + "1", "create: mfs\nrules:\n  - {path: /r, branches: [" + disks + "3]}\n");
    CHECK(has(run_plyctl({"reload", mnt}).err, "is no branch of this pool"));
    write(disks + "1, " + disks + "3=nc", "create: ff\n");
    CHECK(has(run_plyctl({"reload", mnt}).out, "read again, with 2 branches"));
    CHECK(shown("branches") == disks + "1=RW:" + disks + "3=NC\n");
    CHECK(shown("func.create") == "ff\n");
    CHECK(list_dir(mnt) == Names{"r"});
    write(disks + "1, " + disks + "3=nc", "create: mfs\n");
    CHECK(run_plyctl({"reload", mnt}).out == mnt + ": changed: create\n");
    CHECK(has(run_plyctl({"reload", mnt}).out, "nothing changed"));
    CHECK(Stats::read(mnt)["takeovers"] == 2);
}

TEST_CASE("live branches: not where no other daemon can follow") {
    LiveGround g("locks=forward");
    CHECK(has(g.refused({"branch", "add", g.c}), "none can follow this one with locks=forward"));
    CHECK(has(g.refused({"branch", "mode", g.b, "ro"}), "none can follow this one with locks=forward"));
    g.ask({"branch", "mode", g.b, "nc"});
    CHECK(set_branches(g, "+>" + g.c) == EROFS);
    CHECK(g.branches() == Names{g.a, g.b});
}

TEST_CASE("live branches: a daemon without a supervisor starts one when another is to follow it") {
    LiveGround g("supervise=off");
    const pid_t first = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    OK(::mkdir((g / "d").c_str(), 0755));
    write_file(g / "d/kept", "content");
    OK(::link((g / "d/kept").c_str(), (g / "d/linked").c_str()));
    UniqueFd reader = open_file(g / "d/kept", O_RDONLY), writer = open_file(g / "f", O_RDWR);
    UniqueFd dir = open_file(g / "d", O_RDONLY | O_DIRECTORY);
    const ino_t inode = stat_of(g / "d/kept").st_ino;
    g.ask({"branch", "add", g.c});
    const pid_t second = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    CHECK(second != first);
    const pid_t supervisor = parent_of(second);
    CHECK(eventually([&] { return !is_alive(first); }));
    CHECK(stat_of(g / "d/linked").st_ino == inode);
    CHECK(stat_of(dir.get()).st_ino == stat_of(g / "d").st_ino);
    CHECK(::faccessat(dir.get(), "linked", F_OK, 0) == 0);
    CHECK(read_fd(reader.get()) == "content");
    OK(::ftruncate(writer.get(), 2));
    CHECK(read_file(g.a + "/f") == "of");
    CHECK(read_file(g / "g") == "of c");
    // The mount has what it takes to outlive that one as well.
    OK(::kill(second, SIGKILL));
    REQUIRE(eventually([&] { return Stats::read(g.mnt)["pid"] != second; }, 20000));
    CHECK(stat_of(writer.get()).st_size == 2);
    for (UniqueFd* open : {&reader, &writer, &dir}) open->reset();
    g.mount->unmount();
    CHECK(eventually([&] { return !is_alive(supervisor); }));
}

TEST_CASE("live branches: without the supervisor that was started everything is as before") {
    LiveGround g("supervise=off");
    const pid_t daemon = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    const auto before = children_of(daemon);
    for (const int how : {SIGKILL, SIGTERM}) {
        // A listing that is half read keeps the daemon from leaving for two seconds.
        const std::string name = "/D" + std::to_string(how);
        make_dirs(g.a + name);
        for (int i = 0; i < 4000; ++i) write_file(g.a + name + "/" + std::to_string(i), "");
        std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir((g.mnt + name).c_str()), ::closedir);
        REQUIRE(::readdir(dir.get()));
        std::jthread ends([&] {
            std::set<pid_t> waits;
            CHECK(eventually([&] {
                waits = children_of(daemon);
                for (pid_t other : before) waits.erase(other);
                return !waits.empty();
            }));
            nap(300);
            for (pid_t pid : waits) OK(::kill(pid, how));
            nap(100);
            while (::readdir(dir.get())) {
            }
        });
        const std::string why = g.refused({"branch", "add", g.c});
        ends.join();
        CHECK(has(why, "the daemon could not leave, nothing is changed"));
        CHECK(static_cast<pid_t>(Stats::read(g.mnt)["pid"]) == daemon);
        CHECK(g.branches() == Names{g.a, g.b});
        CHECK(list_dir(g.mnt + name).size() == 4000);
    }
    g.ask({"branch", "add", g.c});
    CHECK(read_file(g / "g") == "of c");
}

TEST_CASE("live branches: a configuration that can not be read any more changes nothing") {
    LiveGround g("supervise=off");
    const std::string mnt = g.scratch.dir("other"), file = g.scratch.path() + "/pool.yaml";
    write_file(file, "branches: [" + g.a + "]\nmountpoint: " + mnt + "\nminfreespace: 0\n");
    Mount mount("config=" + file, "", mnt);
    const UniqueFd open = open_file(mnt + "/f", O_RDWR);
    OK(::unlink(file.c_str()));
    const Ran ran = run_plyctl({"branch", "add", mnt, g.c});
    CHECK(ran.code == kFailure);
    CHECK(has(ran.err, "this program would not go on with the mount"));
    OK(::ftruncate(open.get(), 2));
    CHECK(Stats::read(mnt)["takeovers"] == 0);
}

TEST_CASE("live branches: a configuration that lies in the mount itself is not read again") {
    LiveGround g;
    const std::string mnt = g.scratch.dir("other"), file = mnt + "/pool.yaml";
    const std::string text = "branches: [" + g.a + "]\nmountpoint: " + mnt + "\nminfreespace: 0\n";
    write_file(file, text);
    write_file(g.a + "/pool.yaml", text + "create: lfs\n");
    Mount mount(supervised_or_not() + ",config=" + file, "", mnt);
    CHECK(has(run_plyctl({"reload", mnt}).err, file + ": lies in the mount itself; keep it elsewhere"));
    CHECK(run_plyctl({"branch", "add", mnt, g.c}).code == 0);
    CHECK(read_file(mnt + "/g") == "of c");
    CHECK(run_plyctl({"get", mnt, "branches"}).out == g.a + "=RW:" + g.c + "=RW\n");
}

TEST_CASE("live branches: a next daemon that can not serve with them is followed by one as before") {
    LiveGround g("supervise=on");
    const UniqueFd open = open_file(g / "f", O_RDWR);
    const pid_t supervisor = parent_of(static_cast<pid_t>(Stats::read(g.mnt)["pid"]));
    const pid_t daemon = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    OK(::kill(supervisor, SIGSTOP));
    std::jthread undo([&] {
        // The daemon has left, and the next one is not there yet.
        CHECK(eventually(
            [&] { return !is_alive(daemon) || has(read_file("/proc/" + std::to_string(daemon) + "/stat"), ") Z "); }));
        std::filesystem::rename(g.c, g.c + ".gone");
        OK(::kill(supervisor, SIGCONT));
    });
    const std::string why = g.refused({"branch", "add", g.c});
    undo.join();
    CHECK(has(why, "the branches are as before"));
    CHECK(g.branches() == Names{g.a, g.b});
    OK(::ftruncate(open.get(), 2));
    CHECK(read_file(g / "f") == "of");
    std::filesystem::rename(g.c + ".gone", g.c);
    g.ask({"branch", "add", g.c});
    CHECK(g.branches() == Names{g.a, g.b, g.c});
}

TEST_CASE("live branches: what was changed is there also after the daemon was killed") {
    LiveGround g;
    g.ask({"branch", "add", g.c + "=nc,1M"});
    CHECK(run_plyctl({"set", g.mnt, "create=lfs", "cache.attr=7"}).code == 0);
    CHECK(run_plyctl({"branch", "mode", g.mnt, g.b, "nc"}).code == 0);
    const auto shown = [&] { return run_plyctl({"get", g.mnt, "branches", "func.create", "cache.attr"}).out; };
    const std::string before = shown();
    CHECK(has(before, g.b + "=NC:" + g.c + "=NC,1048576"));
    CHECK(has(before, "func.create=lfs"));
    CHECK(has(before, "cache.attr=7"));
    const pid_t daemon = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    OK(::kill(daemon, SIGKILL));
    REQUIRE(eventually([&] { return Stats::read(g.mnt)["pid"] != daemon; }, 20000));
    CHECK(shown() == before);
    write_file(g / "made", "");
    CHECK(stat_of(g.a + "/made").st_size == 0);
}

TEST_CASE("live branches: who asks right after a change that a daemon without a supervisor made is answered") {
    for (int round = 0; round < 25; ++round) {
        LiveGround g("supervise=off");
        const std::string control = g / ".plyfs", more = "+>" + g.c;
        OK(::setxattr(control.c_str(), "user.plyfs.branches", more.data(), more.size(), 0));
        char pid[32];
        OK(::getxattr(control.c_str(), "user.plyfs.pid", pid, sizeof pid));
    }
}

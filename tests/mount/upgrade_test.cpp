// plyctl upgrade: a mount goes on with the program as it is installed by now.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

pid_t parent_of(pid_t pid) {
    const std::string line = read_file("/proc/" + std::to_string(pid) + "/stat");
    return static_cast<pid_t>(std::stol(line.substr(line.rfind(')') + 4)));
}

pid_t daemon_of(const std::string& mnt) {
    return static_cast<pid_t>(Stats::read(mnt)["pid"]);
}

// A copy of the program that the test can exchange.
class Installed {
  public:
    Installed() {
        if (is_standin()) skip("about plyfs itself");
        if (wanted_transport() == "io_uring") skip("rings end with the daemon that has them");
        original = plyfs_binary();
        exchange(original);
        ::setenv("PLYFS_TEST_ANCHOR", path.c_str(), 1);
    }
    ~Installed() { ::unsetenv("PLYFS_TEST_ANCHOR"); }
    // As packages do it: another file under the same name.
    void exchange(const std::string& file) const {
        std::filesystem::copy_file(file, path + ".new");
        std::filesystem::rename(path + ".new", path);
    }
    void exchange_script(const std::string& text) const {
        write_file(path + ".new", "#!/bin/sh\n" + text);
        OK(::chmod((path + ".new").c_str(), 0755));
        std::filesystem::rename(path + ".new", path);
    }
    bool is_run_by(pid_t pid) const {
        return stat_of("/proc/" + std::to_string(pid) + "/exe").st_ino == stat_of(path).st_ino;
    }
    Scratch scratch;
    const std::string path = scratch.path() + "/plyfs";
    std::string original;
};

ino_t program_of(pid_t pid) {
    return stat_of("/proc/" + std::to_string(pid) + "/exe").st_ino;
}

}  // namespace

TEST_CASE("upgrade: supervisor and daemon are of the new program, and nobody notices") {
    Installed installed;
    in_both_modes([](Tree& tree) { write_file(tree.below() + "/f", pattern(300000)); },
                  [&](Tree& tree) {
                      const pid_t old = daemon_of(tree.mnt()), supervisor = parent_of(old);
                      UniqueFd reader = open_file(tree / "f", O_RDONLY);
                      UniqueFd writer = open_file(tree / "g", O_CREAT | O_RDWR);
                      std::atomic<int> failures = 0;
                      std::jthread busy([&](const std::stop_token& stop) {
                          for (int i = 0; !stop.stop_requested(); ++i) {
                              const std::string name = tree / ("n" + std::to_string(i));
                              int back = 0;
                              if (::pwrite(writer.get(), &i, sizeof i, 0) != sizeof i) ++failures;
                              if (::pread(writer.get(), &back, sizeof back, 0) != sizeof back || back != i) ++failures;
                              if (::mkdir(name.c_str(), 0755) != 0 || ::rmdir(name.c_str()) != 0) ++failures;
                          }
                      });
                      for (int round = 1; round <= 3; ++round) {
                          installed.exchange(installed.original);
                          CHECK_FALSE(installed.is_run_by(supervisor));
                          const Ran ran = run_plyctl({"upgrade", tree.mnt()});
                          INFO(ran.err);
                          REQUIRE(ran.code == 0);
                          CHECK(has(ran.out, "served by plyfs"));
                          CHECK(installed.is_run_by(supervisor));
                          CHECK(installed.is_run_by(daemon_of(tree.mnt())));
                          CHECK(parent_of(daemon_of(tree.mnt())) == supervisor);
                          CHECK(tree.stats()["takeovers"] == round);
                      }
                      busy.request_stop();
                      busy.join();
                      CHECK(failures == 0);
                      CHECK(read_fd(reader.get()) == pattern(300000));
                      OK(::ftruncate(writer.get(), 2));
                      CHECK(stat_of(tree / "g").st_size == 2);
                      // What the new program has begun is taken over as well.
                      const pid_t daemon = daemon_of(tree.mnt());
                      OK(::kill(daemon, SIGKILL));
                      REQUIRE(eventually([&] { return daemon_of(tree.mnt()) != daemon; }, 20000));
                      CHECK(stat_of(writer.get()).st_size == 2);
                      reader.reset();
                      writer.reset();
                      tree.unmount();
                      CHECK(eventually([&] { return !is_alive(supervisor); }));
                  },
                  "supervise=on");
}

TEST_CASE("upgrade: branches are those that the mount has, and what was set stays set") {
    Installed installed;
    const Scratch& scratch = installed.scratch;
    const std::string a = scratch.dir("a 1"), b = scratch.dir("b"), mnt = scratch.dir("mnt");
    Mount mount("supervise=on,minfreespace=0", scratch.path() + "/a*", mnt);
    OK(::mkdir((scratch.path() + "/a2").c_str(), 0755));  // fits the pattern as well
    REQUIRE(run_plyctl({"branch", "add", mnt, b}).code == 0);
    REQUIRE(run_plyctl({"set", mnt, "create=lfs"}).code == 0);
    installed.exchange(installed.original);
    REQUIRE(run_plyctl({"upgrade", mnt}).code == 0);
    CHECK(run_plyctl({"get", mnt, "branches"}).out == a + "=RW:" + b + "=RW\n");
    CHECK(run_plyctl({"get", mnt, "func.create"}).out == "lfs\n");
    CHECK(has(run_plyctl({"reload", mnt}).out, "read again, with 2 branches"));
    CHECK(run_plyctl({"get", mnt, "branches"}).out == a + "=RW:" + scratch.path() + "/a2=RW\n");
}

TEST_CASE("upgrade: a listing under way is read to its end before, and has all names that stay") {
    Installed installed;
    constexpr int kNames = 1000;
    const auto name = [](int i) { return std::string(200, 'x') + std::to_string(i); };
    in_both_modes(
        [&](Tree& tree) {
            const std::string second = tree.layered() ? static_cast<Layers&>(tree).lower2 : static_cast<Pool&>(tree).a;
            for (const std::string& root : {tree.below(), second}) make_dirs(root + "/d");
            for (int i = 0; i < kNames; ++i) write_file((i % 2 ? tree.below() : second) + "/d/" + name(i), "");
        },
        [&](Tree& tree) {
            std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir((tree / "d").c_str()), ::closedir);
            REQUIRE(dir);
            std::set<std::string> seen;
            for (int i = 0; i < 50; ++i) seen.insert(::readdir(dir.get())->d_name);
            Ran ran;
            std::thread upgrade([&] { ran = run_plyctl({"upgrade", tree.mnt()}); });
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            for (const std::string& told : seen) ::unlink((tree / ("d/" + told)).c_str());
            while (const dirent* entry = ::readdir(dir.get())) seen.insert(entry->d_name);
            upgrade.join();
            CHECK_MESSAGE(ran.code == 0, ran.err);
            CHECK(tree.stats()["takeovers"] == 1);
            CHECK(seen.size() == kNames + 2);
        },
        "supervise=on");
}

TEST_CASE("upgrade: a program that does not go on with the mount is left alone") {
    Installed installed;
    const Scratch& scratch = installed.scratch;
    Mount mount("supervise=on,minfreespace=0", scratch.dir("a"), scratch.dir("mnt"));
    const pid_t daemon = daemon_of(mount.path()), supervisor = parent_of(daemon);
    const ino_t before = program_of(supervisor);
    const UniqueFd open = open_file(mount / "f", O_CREAT | O_RDWR);
    const auto refused = [&] {
        const Ran ran = run_plyctl({"upgrade", mount.path()}, 60);
        INFO(ran.out, ran.err);
        CHECK(ran.code == 1);
        CHECK(has(ran.err, "does not go on with this mount, its log says why; nothing is changed"));
        CHECK(program_of(supervisor) == before);
        CHECK(daemon_of(mount.path()) == daemon);
        write_fd(open.get(), "on", 0);
    };
    SUBCASE("it is another one") {
        installed.exchange("/bin/true");
        refused();
    }
    SUBCASE("it is gone") {
        OK(::unlink(installed.path.c_str()));
        refused();
    }
    SUBCASE("it can not be executed") {
        installed.exchange(installed.original);
        OK(::chmod(installed.path.c_str(), 0644));
        refused();
    }
    SUBCASE("it finds only afterwards that it can not") {
        installed.exchange_script(
            "[ -n \"$PLYFS_SUPERVISOR_QUESTION\" ] && exit 77\n"
            "PLYFS_SUPERVISOR_STATE=\"9999 ${PLYFS_SUPERVISOR_STATE#* }\" exec '" +
            installed.original + "' \"$@\"\n");
        refused();
    }
    // The daemon is looked after as before.
    OK(::kill(daemon, SIGKILL));
    REQUIRE(eventually([&] { return daemon_of(mount.path()) != daemon; }, 20000));
    CHECK(stat_of(open.get()).st_size == 2);
    // And it can be done later.
    installed.exchange(installed.original);
    const Ran later = run_plyctl({"upgrade", mount.path()});
    INFO(later.err);
    CHECK(later.code == 0);
    CHECK(installed.is_run_by(supervisor));
}

// The layer is away as long as the new program is there.
TEST_CASE("upgrade: a program that can not go on gives way to the one before, which waits for a layer that is gone") {
    Installed installed;
    const Scratch& scratch = installed.scratch;
    const std::string layer = scratch.dir("lower"), away = scratch.path() + "/away", upper = scratch.dir("upper");
    Mount mount("supervise=on,lowerdir=" + layer + ",upperdir=" + upper + ",workdir=" + scratch.dir("work"), "",
                scratch.dir("mnt"));
    const pid_t daemon = daemon_of(mount.path()), supervisor = parent_of(daemon);
    const ino_t before = program_of(supervisor);
    const UniqueFd open = open_file(mount / "f", O_CREAT | O_RDWR);
    write_fd(open.get(), "of before", 0);
    OK(::link(installed.path.c_str(), (scratch.path() + "/old").c_str()));
    installed.exchange_script(
        "[ -n \"$PLYFS_SUPERVISOR_QUESTION\" ] && exit 77\n"
        "mv '" +
        layer + "' '" + away + "'\n" + "(n=0; while [ $n -lt 600 ] && ! [ /proc/$$/exe -ef '" + scratch.path() +
        "/old' ]; do n=$((n+1)); sleep 0.05; done\n"
        " mv '" +
        away + "' '" + layer +
        "') </dev/null >/dev/null 2>&1 &\n"
        "exec '" +
        installed.original + "' \"$@\"\n");
    const Ran ran = run_plyctl({"upgrade", mount.path()}, 60);
    INFO(ran.out, ran.err);
    REQUIRE(eventually([&] { return is_alive(supervisor) && program_of(supervisor) == before; }, 20000));
    REQUIRE(eventually([&] { return exists(layer); }, 20000));
    CHECK(stat_of(open.get()).st_size == 9);
    write_fd(open.get(), "on", 0);
    CHECK(read_file(upper + "/f") == "on before");
    CHECK(daemon_of(mount.path()) == daemon);
    OK(::kill(daemon, SIGKILL));
    CHECK(eventually([&] { return daemon_of(mount.path()) != daemon; }, 20000));
}

TEST_CASE("upgrade: what was mounted without a supervisor has one from then on") {
    Installed installed;
    in_both_modes([](Tree& tree) { write_file(tree.below() + "/f", pattern(300000)); },
                  [&](Tree& tree) {
                      const pid_t first = daemon_of(tree.mnt());
                      const UniqueFd reader = open_file(tree / "f", O_RDONLY);
                      const UniqueFd writer = open_file(tree / "g", O_CREAT | O_RDWR);
                      installed.exchange("/bin/true");
                      const Ran refused = run_plyctl({"upgrade", tree.mnt()}, 60);
                      CHECK(has(refused.err, "does not go on with this mount, its log says why; nothing is changed"));
                      CHECK(daemon_of(tree.mnt()) == first);
                      for (int round = 1; round <= 2; ++round) {
                          installed.exchange(installed.original);
                          const Ran ran = run_plyctl({"upgrade", tree.mnt()});
                          INFO(ran.err);
                          REQUIRE(ran.code == 0);
                          CHECK(installed.is_run_by(daemon_of(tree.mnt())));
                          CHECK(installed.is_run_by(parent_of(daemon_of(tree.mnt()))));
                          CHECK(tree.stats()["takeovers"] == round);
                      }
                      CHECK(eventually([&] { return !is_alive(first); }));
                      CHECK(read_fd(reader.get()) == pattern(300000));
                      OK(::ftruncate(writer.get(), 2));
                      CHECK(stat_of(tree / "g").st_size == 2);
                  });
}

TEST_CASE("upgrade: not where no other daemon can follow") {
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    Mount mount("minfreespace=0,locks=forward", scratch.dir("a"), scratch.dir("mnt"));
    CHECK(has(run_plyctl({"upgrade", mount.path()}).err, "none can follow this one with locks=forward"));
    // Not all mounts: those of other tests are found as well.
}

// What is said of a directory while the daemon makes a part of it on another branch, or an entry in it for a copy:
// wherever the daemon is by then, it holds for all parts, and stays.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>

#include "pool_ground.h"
#include "support/gate.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr timespec kOld[2] = {{1000000000, 5}, {1000000000, 5}};

struct Ends {
    std::thread& first;
    std::thread& second;
    Gate& gate;
    ~Ends() {
        gate.disarm();
        first.join();
        second.join();
    }
};

// Has `made` wait at its call of that number until `said` is done, or waits as well. Whether there was such a call.
bool meanwhile(Gate& gate, pid_t daemon, int call, const std::function<void()>& made,
               const std::function<void()>& said) {
    std::atomic<bool> made_over = false, said_over = false;
    bool held = false;
    gate.arm(daemon, call, Gate::Act::hold);
    std::thread maker([&] {
        made();
        made_over = true;
    });
    OK(eventually([&] { return made_over || gate.holds(); }) ? 0 : -1);
    held = gate.holds();
    std::thread sayer([&] {
        said();
        said_over = true;
    });
    Ends ends{maker, sayer, gate};
    eventually([&] { return said_over.load(); }, 100);
    return held;
}

}  // namespace

TEST_CASE("directory changes: a part that is made meanwhile says the same as the others") {
    Gate gate;
    PoolGround ground("ab");
    constexpr int kMost = 200;
    for (int i = 1; i <= kMost; ++i) ground.fill("b:d" + std::to_string(i) + "/s/");
    Mount mount("create=ff,minfreespace=0", ground.branches("a:b"), ground.mnt);
    int call = 1;
    for (bool held = true; held; ++call) {
        REQUIRE(call <= kMost);
        CAPTURE(call);
        const std::string name = "d" + std::to_string(call), dir = ground.mnt + "/" + name;
        stat_of(dir + "/s");
        int made = -1, said = -1;
        held = meanwhile(
            gate, mount.pid(), call, [&] { made = try_open(dir + "/s/f", O_CREAT | O_EXCL | O_WRONLY); },
            [&] {
                said = err_of(::chmod(dir.c_str(), 0711));
                if (said == 0) said = err_of(::utimensat(AT_FDCWD, dir.c_str(), kOld, 0));
            });
        CHECK(made == 0);
        CHECK(said == 0);
        CHECK(ground.where(name + "/s") == "ab");
        for (char branch : {'a', 'b'}) {
            CAPTURE(branch);
            const struct stat part = stat_of(ground.at(branch, name));
            CHECK((part.st_mode & 07777) == 0711);
            CHECK(part.st_mtim.tv_sec == kOld[1].tv_sec);
        }
    }
    CHECK(call > 10);
}

TEST_CASE("directory changes: times that are set while a copy is put into the directory stay") {
    Gate gate;
    Layers tree;
    constexpr int kMost = 200;
    for (int i = 1; i <= kMost; ++i) {
        make_dirs(tree.lower + "/d" + std::to_string(i));
        make_dirs(tree.upper + "/d" + std::to_string(i));
        write_file(tree.lower + "/d" + std::to_string(i) + "/f", "content");
    }
    tree.mount();
    int call = 1;
    for (bool held = true; held; ++call) {
        REQUIRE(call <= kMost);
        CAPTURE(call);
        const std::string name = "d" + std::to_string(call), dir = tree / name;
        stat_of(dir + "/f");
        int made = -1, said = -1;
        held = meanwhile(
            gate, tree.mounted().pid(), call, [&] { made = err_of(::chmod((dir + "/f").c_str(), 0600)); },
            [&] { said = err_of(::utimensat(AT_FDCWD, dir.c_str(), kOld, 0)); });
        CHECK(made == 0);
        CHECK(said == 0);
        CHECK(stat_of(tree.upper + "/" + name).st_mtim.tv_sec == kOld[1].tv_sec);
    }
    CHECK(call > 10);
}

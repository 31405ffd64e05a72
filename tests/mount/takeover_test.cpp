// A supervised mount (supervise=on): the daemon is killed in the middle of things, and another one takes over. Each
// test says who must not notice.
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <thread>

#include "pool_ground.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/transport.h"
#include "support/trees.h"
#include "support/workers.h"

using namespace plyfs::test;

namespace {

void require_devfuse() {
    if (is_standin()) skip("about plyfs itself");
    if (wanted_transport() == "io_uring") skip("rings end with the daemon that has them");
}

pid_t parent_of(pid_t pid) {
    const std::string line = read_file("/proc/" + std::to_string(pid) + "/stat");
    return static_cast<pid_t>(std::stol(line.substr(line.rfind(')') + 4)));
}

// The daemon that serves now, by its own account: this asks the mount.
pid_t daemon_of(Tree& tree) {
    return static_cast<pid_t>(tree.stats()["pid"]);
}

// Kills the daemon and waits until the next one has answered.
void kill_daemon(Tree& tree) {
    const pid_t old = daemon_of(tree);
    OK(::kill(old, SIGKILL));
    REQUIRE(eventually([&] { return daemon_of(tree) != old; }, 20000));
}

int descriptors_of(pid_t pid) {
    return static_cast<int>(list_dir("/proc/" + std::to_string(pid) + "/fd").size());
}

void in_both(const std::function<void(Tree&)>& prepare, const std::function<void(Tree&)>& test,
             const std::string& more = "") {
    require_devfuse();
    in_both_modes(
        prepare,
        [&](Tree& tree) {
            test(tree);
            const pid_t daemon = daemon_of(tree), supervisor = parent_of(daemon);
            CHECK(tree.mounted().backings_settle());
            tree.unmount();
            CHECK(eventually([&] { return !is_alive(daemon) && !is_alive(supervisor); }));
        },
        "supervise=on" + (more.empty() ? "" : "," + more));
}

}  // namespace

TEST_CASE("takeover: files in passthrough are read and written on, as if nothing had happened") {
    need_privilege("passthrough");
    in_both([](Tree& tree) { write_file(tree.below() + "/f", pattern(300000)); },
            [](Tree& tree) {
                const UniqueFd reader = open_file(tree / "f", O_RDONLY);
                const UniqueFd writer = open_file(tree / "g", O_CREAT | O_RDWR);
                write_fd(writer.get(), "before", 0);
                std::atomic<int> failures = 0;
                std::jthread busy([&](const std::stop_token& stop) {
                    for (int i = 0; !stop.stop_requested(); ++i) {
                        if (::pwrite(writer.get(), &i, sizeof i, 4096) != sizeof i) ++failures;
                        int back = 0;
                        if (::pread(writer.get(), &back, sizeof back, 4096) != sizeof back || back != i) ++failures;
                    }
                });
                for (int i = 0; i < 3; ++i) kill_daemon(tree);
                busy.request_stop();
                busy.join();
                CHECK(failures == 0);
                CHECK(read_fd(reader.get()) == pattern(300000));
                CHECK(read_fd(writer.get(), 0, 6) == "before");
                write_fd(writer.get(), "behind", 6);
                OK(::fsync(writer.get()));
                CHECK(stat_of(writer.get()).st_size == 4100);
                OK(::ftruncate(writer.get(), 12));
                CHECK(read_file(tree / "g") == "beforebehind");
                CHECK(tree.stats()["takeovers"] == 3);
                CHECK(tree.stats().request("read") + tree.stats().request("write") == 0);
            });
}

TEST_CASE("takeover: files open through the daemon go on") {
    in_both([](Tree& tree) { write_file(tree.below() + "/f", pattern(300000)); },
            [](Tree& tree) {
                const UniqueFd reader = open_file(tree / "f", O_RDONLY);
                const UniqueFd writer = open_file(tree / "g", O_CREAT | O_RDWR | O_APPEND);
                write_fd(writer.get(), "one", 0);
                CHECK(read_fd(reader.get(), 0, 1000) == pattern(300000).substr(0, 1000));
                kill_daemon(tree);
                CHECK(::write(writer.get(), "two", 3) == 3);
                OK(::fsync(writer.get()));
                CHECK(read_fd(reader.get()) == pattern(300000));
                CHECK(stat_of(writer.get()).st_size == 6);
                OK(::fchmod(writer.get(), 0600));
                kill_daemon(tree);
                OK(::ftruncate(writer.get(), 4));
                CHECK(read_file(tree / "g") == "onet");
                CHECK(stat_of(tree / "g").st_mode == (S_IFREG | 0600));
            },
            "passthrough=off");
}

TEST_CASE("takeover: whoever stands in a directory, or has read half of one, goes on") {
    in_both(
        [](Tree& tree) {
            make_dirs(tree.below() + "/d/e");
            for (int i = 0; i < 3000; ++i) write_file(tree.below() + "/d/e/" + std::to_string(i), "");
        },
        [](Tree& tree) {
            OK(::chdir((tree / "d/e").c_str()));
            DIR* dir = ::opendir(".");
            REQUIRE(dir != nullptr);
            std::set<std::string> seen;
            for (int i = 0; i < 500; ++i) seen.insert(::readdir(dir)->d_name);
            kill_daemon(tree);
            while (const dirent* entry = ::readdir(dir)) seen.insert(entry->d_name);
            CHECK(seen.size() == 3002);
            ::closedir(dir);
            CHECK(exists("17"));
            write_file("new", "here");
            CHECK(read_file(tree / "d/e/new") == "here");
            OK(::rename("new", "../new"));
            kill_daemon(tree);
            CHECK(read_file("../new") == "here");
            CHECK(std::filesystem::current_path().string() == tree / "d/e");
            OK(::chdir("/"));
        });
}

TEST_CASE("takeover: a merged directory that was read in part goes on, or fails, but leaves nothing out") {
    constexpr int kNames = 1000;
    const auto name = [](int i) { return "/" + std::string(200, 'x') + std::to_string(i); };
    in_both(
        [&](Tree& tree) {
            const std::string second = tree.layered() ? static_cast<Layers&>(tree).lower2 : static_cast<Pool&>(tree).a;
            for (const char* dir : {"/same", "/less"}) {
                for (const std::string& root : {tree.below(), second}) make_dirs(root + dir);
                for (int i = 0; i < kNames; ++i) write_file((i % 2 ? tree.below() : second) + dir + name(i), "");
            }
        },
        [&](Tree& tree) {
            // errno, and how many names.
            const auto list = [&](const std::string& path, const std::function<void(const std::string&)>& meanwhile) {
                std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
                REQUIRE(dir);
                std::set<std::string> seen;
                for (int i = 0; i < 50; ++i) seen.insert(::readdir(dir.get())->d_name);
                kill_daemon(tree);
                meanwhile(path + "/" + *seen.rbegin());
                errno = 0;
                while (const dirent* entry = ::readdir(dir.get())) seen.insert(entry->d_name);
                return std::pair(errno, seen.size());
            };
            CHECK(list(tree / "same", [](const std::string&) {}) == std::pair(0, std::size_t{kNames + 2}));
            const auto remove = [](const std::string& told) { OK(::unlink(told.c_str())); };
            CHECK(list(tree / "less", remove).first == ESTALE);
            CHECK(list_dir(tree / "less").size() == kNames - 1);
        });
}

TEST_CASE("takeover: what was renamed before and after is found by who has it open") {
    in_both([](Tree& tree) { make_dirs(tree.below() + "/a/b"); },
            [](Tree& tree) {
                write_file(tree / "a/b/f", "content");
                const UniqueFd file = open_file(tree / "a/b/f", O_RDWR);
                const UniqueFd dir = open_file(tree / "a/b", O_RDONLY | O_DIRECTORY);
                OK(::rename((tree / "a/b/f").c_str(), (tree / "a/b/g").c_str()));
                kill_daemon(tree);
                CHECK(stat_of(file.get()).st_size == 7);
                CHECK(::faccessat(dir.get(), "g", F_OK, 0) == 0);
                OK(::rename((tree / "a/b/g").c_str(), (tree / "a/h").c_str()));
                kill_daemon(tree);
                OK(::ftruncate(file.get(), 3));
                CHECK(read_file(tree / "a/h") == "con");
                // A name that was given to something else in between is not what is open.
                OK(::rmdir((tree / "a/b").c_str()));
                OK(::mkdir((tree / "a/b").c_str(), 0700));
                write_file(tree / "a/b/other", "x");
                FAILS(ENOENT, ::faccessat(dir.get(), "other", F_OK, 0));
            });
}

TEST_CASE("takeover: a dozen processes make, rename and remove under ten kills, and no one sees an error") {
    in_both([](Tree&) {},
            [](Tree& tree) {
                Workers workers(tree / ".", tree.scratch().path());
                for (int i = 0; i < 10; ++i) {
                    nap(1200);
                    kill_daemon(tree);
                }
                workers.end();
                CHECK(tree.stats()["takeovers"] == 10);
            });
}

TEST_CASE("takeover: what is closed is let go of") {
    in_both([](Tree& tree) { write_file(tree.below() + "/f", pattern(3000)); },
            [](Tree& tree) {
                kill_daemon(tree);
                int before = 0;
                for (int round = 0; round < 3; ++round) {
                    {
                        std::vector<UniqueFd> open;
                        for (int i = 0; i < 50; ++i) {
                            open.push_back(open_file(tree / ("g" + std::to_string(i)), O_CREAT | O_RDWR));
                            open.push_back(open_file(tree / "f", O_RDONLY));
                        }
                        kill_daemon(tree);
                        for (const auto& fd : open) CHECK(stat_of(fd.get()).st_nlink == 1);
                        open.pop_back();
                    }
                    CHECK(tree.mounted().backings_settle());
                    const int now = descriptors_of(daemon_of(tree));
                    if (round > 0) CHECK(now <= before + 5);
                    before = now;
                }
            });
}

TEST_CASE("takeover: files without a name") {
    need_privilege("passthrough");
    in_both([](Tree&) {},
            [](Tree& tree) {
                const UniqueFd gone = open_file(tree / "f", O_CREAT | O_RDWR);
                write_fd(gone.get(), "still here", 0);
                OK(::unlink((tree / "f").c_str()));
                kill_daemon(tree);
                // What passes through does so; the daemon does not find it any more.
                CHECK(read_fd(gone.get()) == "still here");
                write_fd(gone.get(), "S", 0);
                FAILS(ESTALE, ::ftruncate(gone.get(), 1));
                write_file(tree / "f", "another");
                CHECK(read_fd(gone.get()) == "Still here");
                CHECK(read_file(tree / "f") == "another");
            });
}

TEST_CASE("takeover: umount and SIGTERM end all of it") {
    require_devfuse();
    for (const bool by_signal : {false, true}) {
        Pool pool;
        pool.mount("supervise=on");
        const pid_t supervisor = parent_of(daemon_of(pool));
        kill_daemon(pool);
        CHECK(parent_of(daemon_of(pool)) == supervisor);
        const pid_t daemon = daemon_of(pool);
        if (by_signal) {
            OK(::kill(supervisor, SIGTERM));
            CHECK(eventually([&] { return !is_mounted(pool.mnt()); }));
        } else {
            OK(::umount2(pool.mnt().c_str(), 0));
        }
        CHECK(eventually([&] { return !is_alive(daemon) && !is_alive(supervisor); }));
        CHECK_FALSE(is_mounted(pool.mnt()));
    }
}

TEST_CASE("takeover: a pool goes on without the branch that is gone, and takes it in when it comes") {
    require_devfuse();
    Pool pool;
    write_file(pool.a + "/on_a", "a");
    write_file(pool.b + "/on_b", "b");
    pool.mount("supervise=on");
    const std::string away = pool.a + ".away";
    OK(::rename(pool.a.c_str(), away.c_str()));
    kill_daemon(pool);
    CHECK(read_file(pool / "on_b") == "b");
    FAILS(ENOENT, ::access((pool / "on_a").c_str(), F_OK));
    OK(::rename(away.c_str(), pool.a.c_str()));
    CHECK(eventually([&] { return exists(pool / "on_a"); }, 20000));
    CHECK(read_file(pool / "on_a") == "a");
}

TEST_CASE("takeover: what a branch's disk was mounted on is not taken for it") {
    require_devfuse();
    Scratch scratch;
    const std::string a = scratch.dir("a"), b = scratch.dir("b");
    const auto mount_a = [&] { OK(::mount("none", a.c_str(), "tmpfs", 0, "size=4m")); };
    mount_a();
    Mount mount("supervise=on,minfreespace=0,create=ff", a + ":" + b, scratch.dir("mnt"));
    write_file(mount / "before", "x");
    CHECK(exists(a + "/before"));
    OK(::umount2(a.c_str(), MNT_DETACH));
    const auto daemon = [&] { return static_cast<pid_t>(mount.stats()["pid"]); };
    const pid_t first = daemon();
    OK(::kill(first, SIGKILL));
    REQUIRE(eventually([&] { return daemon() != first; }, 20000));
    write_file(mount / "new", "x");
    CHECK(list_dir(a).empty());
    CHECK(exists(b + "/new"));
    mount_a();
    write_file(a + "/back", "x");
    CHECK(eventually([&] { return exists(mount / "back"); }, 10000));
    mount.unmount();
    OK(::umount2(a.c_str(), MNT_DETACH));
}

namespace {

// A layer that can be taken away: of its own, for what is mounted for a test is compared afterwards.
struct LayerGround {
    Scratch scratch;
    const std::string lower = scratch.dir("lower"), upper = scratch.dir("upper"), away = scratch.path() + "/away";
    Mount mount{"supervise=on,lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + scratch.dir("work"), "",
                scratch.dir("mnt")};
    pid_t daemon() const { return static_cast<pid_t>(mount.stats()["pid"]); }
};

}  // namespace

TEST_CASE("takeover: whoever asks waits until a layer that is gone is there again") {
    require_devfuse();
    LayerGround g;
    write_file(g.mount / "f", "of the mount");
    const UniqueFd open = open_file(g.mount / "new", O_CREAT | O_RDWR);
    const pid_t first = g.daemon(), supervisor = parent_of(first);
    OK(::rename(g.lower.c_str(), g.away.c_str()));
    OK(::kill(first, SIGKILL));
    nap(1500);
    CHECK(is_alive(supervisor));
    OK(::rename(g.away.c_str(), g.lower.c_str()));
    CHECK(read_file(g.mount / "f") == "of the mount");
    write_fd(open.get(), "on", 0);
    CHECK(read_file(g.upper + "/new") == "on");
    CHECK(g.daemon() != first);
}

TEST_CASE("takeover: a mount whose layer stays away can be unmounted") {
    require_devfuse();
    LayerGround g;
    const pid_t first = g.daemon(), supervisor = parent_of(first);
    OK(::rename(g.lower.c_str(), g.away.c_str()));
    OK(::kill(first, SIGKILL));
    nap(1500);
    OK(::umount2(g.mount.path().c_str(), MNT_DETACH));
    CHECK(eventually([&] { return !is_alive(supervisor); }, 10000));
}

TEST_CASE("takeover: a daemon that dies each time ends the mount") {
    require_devfuse();
    Pool pool;
    pool.mount("supervise=on");
    const pid_t first = daemon_of(pool), supervisor = parent_of(first);
    const std::string children =
        "/proc/" + std::to_string(supervisor) + "/task/" + std::to_string(supervisor) + "/children";
    nap(1200);
    // Asks the mount nothing: each is killed as soon as it is there.
    CHECK(eventually(
        [&] {
            if (!is_alive(supervisor)) return true;
            UniqueFd fd(::open(children.c_str(), O_RDONLY | O_CLOEXEC));
            char text[64] = {};
            if (fd.valid() && ::read(fd.get(), text, sizeof text - 1) > 0) ::kill(std::atoi(text), SIGKILL);
            return false;
        },
        20000));
    CHECK(try_open(pool / "f", O_CREAT | O_WRONLY) == ENOTCONN);
    OK(::umount2(pool.mnt().c_str(), 0));
}

TEST_CASE("takeover: without its supervisor a daemon serves on") {
    require_devfuse();
    Pool pool;
    pool.mount("supervise=on");
    const pid_t daemon = daemon_of(pool);
    OK(::kill(parent_of(daemon), SIGKILL));
    write_file(pool / "f", "served");
    CHECK(daemon_of(pool) == daemon);
    OK(::umount2(pool.mnt().c_str(), 0));
    CHECK(eventually([&] { return !is_alive(daemon); }));
}

TEST_CASE("takeover: what can not go with it is refused in one line") {
    require_devfuse();
    Pool pool;
    for (const char* other : {"transport=io_uring", "locks=forward"}) {
        const Ran ran = run_plyfs({"-o", std::string("supervise=on,") + other, pool.a, pool.mnt()});
        CHECK(ran.code == 1);
        CHECK(ran.err.find(other) != std::string::npos);
        CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    }
}

TEST_CASE("takeover: a file that was copied up since it was looked up") {
    require_devfuse();
    const auto change_and_kill = [](Tree& tree, const std::string& how) {
        const UniqueFd reader = open_file(tree / "other", O_RDONLY);
        UniqueFd writer = open_file(tree / "f", O_RDWR | O_APPEND);
        if (how == "opened again") writer = open_file(tree / "f", O_RDWR | O_APPEND);
        CHECK(::write(writer.get(), "one", 3) == 3);
        kill_daemon(tree);
        CHECK(::write(writer.get(), "two", 3) == 3);
        OK(::fsync(writer.get()));
        OK(::fchmod(writer.get(), 0600));
        CHECK(stat_of(writer.get()).st_size == 9);
        CHECK(stat_of(tree / "f").st_ino == stat_of(writer.get()).st_ino);
        CHECK(read_file(tree / "f") == "oldonetwo");
        OK(::ftruncate(writer.get(), 3));
        kill_daemon(tree);
        CHECK(stat_of(writer.get()).st_size == 3);
        CHECK(read_fd(reader.get()) == "other");
    };
    for (std::string how : {"once", "opened again"}) {
        CAPTURE(how);
        for (std::string more : {"", ",passthrough=off"}) {
            CAPTURE(more);
            Layers layers;
            write_file(layers.lower + "/f", "old");
            write_file(layers.lower + "/other", "other");
            layers.mount("supervise=on" + more);
            change_and_kill(layers, how);
        }
    }
}

TEST_CASE("takeover: a file that was moved to another branch, or copied up to one") {
    require_devfuse();
    PoolGround g("abc");
    write_file(g.at('c', "below"), "below");
    Mount mount("create=ff,minfreespace=0,cache.statfs=0,supervise=on,moveonenospc=ff,moveonenospc-reserve=100%",
                g.branches("a:b:c=ro"), g.mnt);
    const auto daemon_now = [&] { return static_cast<pid_t>(Stats::read(g.mnt)["pid"]); };
    const UniqueFd moved = open_file(mount / "moved", O_CREAT | O_RDWR);
    const UniqueFd copied = open_file(mount / "below", O_RDWR);
    const std::string filler = pattern(14 << 20);
    write_file(g.at('a', "filler"), filler.substr(0, 8 << 20));
    write_fd(moved.get(), filler, 0);
    REQUIRE(g.where("moved") == "b");
    const pid_t old = daemon_now();
    OK(::kill(old, SIGKILL));
    REQUIRE(eventually([&] { return daemon_now() != old; }, 20000));
    write_fd(moved.get(), "changed", 0);
    write_fd(copied.get(), "above", 0);
    OK(::fsync(moved.get()));
    OK(::fsync(copied.get()));
    CHECK(read_file(mount / "moved") == "changed" + filler.substr(7));
    CHECK(read_file(mount / "below") == "above");
    CHECK(read_file(g.at('c', "below")) == "below");
}

// Who moves the bytes: the kernel, in every way there is of moving them, and what the daemon tells about them
// is right.
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "mount/io_battery.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kBig = 600000;  // larger than anything that might be served cached for being small

void with_file_below(Tree& tree) {
    write_file(tree.below() + "/old", pattern(kBig, 3));
}

void expect_only_passthrough(const Counter& count) {
    CHECK(count.served() == 0);
    CHECK(count("opens.cached") == 0);
    CHECK(count("opens.direct") == 0);
    if (!is_standin()) CHECK(count("opens.passthrough") > 0);
}

}  // namespace

TEST_CASE("passthrough: every way of reading and writing, in layers and in a pool") {
    in_both_modes(with_file_below, [](Tree& tree) {
        Counter count(tree.mnt());
        read_every_way(tree / "old", pattern(kBig, 3));
        move_bytes_every_way(tree / "new");
        move_bytes_every_way(tree / "old");
        expect_only_passthrough(count);
    });
}

TEST_CASE("passthrough: on xfs, btrfs and tmpfs as well") {
    for (std::string kind : {"xfs", "btrfs", "tmpfs"}) {
        CAPTURE(kind);
        Layers tree({.lower_kind = kind, .upper_kind = kind, .mib = kind == "tmpfs" ? 64u : 320u});
        with_file_below(tree);
        tree.mount();
        Counter count(tree.mnt());
        read_every_way(tree / "old", pattern(kBig, 3));
        move_bytes_every_way(tree / "new");
        move_bytes_every_way(tree / "old");
        expect_only_passthrough(count);
        tree.unmount();
    }
}

TEST_CASE("passthrough: a lower on squashfs") {
    Scratch scratch;
    std::string source = scratch.dir("source");
    write_file(source + "/old", pattern(kBig, 3));
    LoopFs lower = LoopFs::squashfs(scratch.path(), "squash", source), upper("ext4", scratch.path(), "disk", 64);
    std::string mnt = scratch.dir("mnt");
    Mount mount("lowerdir=" + lower.path() + ",upperdir=" + upper.dir("upper") + ",workdir=" + upper.dir("work"), "",
                mnt);
    Counter count(mnt);
    read_every_way(mnt + "/old", pattern(kBig, 3));
    move_bytes_every_way(mnt + "/old");
    expect_only_passthrough(count);
}

TEST_CASE("passthrough: one registration serves all opens of a file, and is closed with the last") {
    in_both_modes(with_file_below, [](Tree& tree) {
        OK(::link((tree / "old").c_str(), (tree / "other").c_str()));
        Counter count(tree.mnt());
        {
            std::vector<UniqueFd> fds;
            for (int i = 0; i < 20; i++)
                fds.push_back(open_file(tree / (i % 2 ? "old" : "other"), i % 3 ? O_RDONLY : O_RDWR));
            for (UniqueFd& fd : fds) CHECK(read_fd(fd.get(), 0, 100) == pattern(kBig, 3).substr(0, 100));
            if (!is_standin()) CHECK(count("backings.opened") == 1);
            CHECK(count("backings.closed") == 0);
        }
        CHECK(tree.mounted().backings_settle());
        for (int i = 0; i < 300; i++) open_file(tree / "old", O_RDONLY);
        CHECK(tree.mounted().backings_settle());
        CHECK(count("backings.opened") == count("backings.closed"));
    });
}

TEST_CASE("passthrough: size and times are right at once, from every thread") {
    in_both_modes([](Tree& tree) {
        UniqueFd fd = open_file(tree / "f", O_CREAT | O_RDWR);
        std::atomic<off_t> written{0};
        std::atomic<int> wrong{0};
        std::atomic<bool> stop{false};
        std::vector<std::thread> watchers;
        for (int i = 0; i < 3; i++)
            watchers.emplace_back([&, i] {
                while (!stop) {
                    off_t least = written;
                    struct stat st {};
                    if ((i == 0 ? ::stat((tree / "f").c_str(), &st) : ::fstat(fd.get(), &st)) != 0 ||
                        st.st_size < least)
                        wrong++;
                    if (i == 2 && ::lseek(fd.get(), 0, SEEK_END) < least) wrong++;
                }
            });
        std::string block = pattern(1000);
        for (int i = 0; i < 2000; i++) {
            if (::pwrite(fd.get(), block.data(), block.size(), i * 1000) != 1000) wrong++;
            written = (i + 1) * 1000;
        }
        stop = true;
        for (std::thread& t : watchers) t.join();
        CHECK(wrong == 0);
        CHECK(stat_of(tree / "f").st_size == 2000000);
        long long before = ns(stat_of(fd.get()).st_mtim);
        nap(20);
        write_fd(fd.get(), "x", 0);
        CHECK(ns(stat_of(tree / "f").st_mtim) > before);
        CHECK(ns(stat_of(fd.get()).st_ctim) > before);
    });
}

TEST_CASE("passthrough: the size is right after asynchronous writes") {
    in_both_modes([](Tree& tree) {
        UniqueFd fd(OK(::open((tree / "f").c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0644)));
        std::string block = pattern(8192);
        for (int i = 0; i < 50; i++) {
            if (!write_by_libaio(fd.get(), block, i * 8192)) skip("no libaio here");
            REQUIRE(stat_of(tree / "f").st_size == (i + 1) * 8192);
        }
    });
}

TEST_CASE("passthrough: writing costs no request at all but for attributes once") {
    in_both_modes(with_file_below, [](Tree& tree) {
        if (is_standin()) skip("a stand-in counts nothing");
        UniqueFd fd = open_file(tree / "new", O_CREAT | O_RDWR);
        UniqueFd old = open_file(tree / "old", O_RDWR);
        std::string block = pattern(4096);
        write_fd(fd.get(), block, 0);
        write_fd(old.get(), block, 0);
        Counter count(tree.mnt());
        for (int i = 0; i < 1000; i++) {
            write_fd(fd.get(), block, i * 4096);
            write_fd(old.get(), block, i * 100);
        }
        CHECK(count.request("getxattr") <= 10);  // one or two are those of the statistics themselves
        CHECK(count.request("setattr") <= 4);
        CHECK(count.request("getattr") <= 4);
        CHECK(count.served() == 0);
    });
}

TEST_CASE("passthrough: stores through a mapping show in the times when the last writer closes") {
    in_both_modes(with_file_below, [](Tree& tree) {
        for (std::string name : {"new", "old"}) {
            CAPTURE(name);
            UniqueFd fd = open_file(tree / name, O_CREAT | O_RDWR);
            OK(::ftruncate(fd.get(), 8192));
            auto* map = static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
            REQUIRE(map != MAP_FAILED);
            long long before = ns(stat_of(fd.get()).st_mtim);
            nap(20);
            std::strcpy(map, "stored");
            OK(::munmap(map, 8192));
            fd.reset();
            CHECK(eventually([&] { return ns(stat_of(tree / name).st_mtim) > before; }));
            CHECK(read_file(tree / name).substr(0, 6) == "stored");
        }
    });
}

TEST_CASE("passthrough: attributes that were known before a store through a mapping are not shown after it") {
    // Who asks for more than that makes the kernel ask us, because of the access time.
    const auto mtime = [](const std::string& path) {
        struct statx st;
        OK(::statx(AT_FDCWD, path.c_str(), 0, STATX_MTIME, &st));
        return st.stx_mtime.tv_sec * 1000000000LL + st.stx_mtime.tv_nsec;
    };
    in_both_modes([&](Tree& tree) {
        write_file(tree / "new", std::string(4096, 'x'));
        nap(20);
        for (int round = 0; round < 20; ++round) {
            const long long before = mtime(tree / "new");
            nap(5);
            UniqueFd fd = open_file(tree / "new", O_RDWR);
            void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
            REQUIRE(map != MAP_FAILED);
            *static_cast<char*>(map) = 'y';
            OK(::munmap(map, 4096));
            fd.reset();
            CHECK(mtime(tree / "new") > before);
        }
    });
}

TEST_CASE("passthrough: O_DIRECT keeps the alignment rules of the branch") {
    Layers tree;
    tree.mount();
    UniqueFd fd(OK(::open((tree / "f").c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0644)));
    alignas(4096) static char buffer[4096];
    FAILS(EINVAL, ::pwrite(fd.get(), buffer, 100, 0));
    CHECK(::pwrite(fd.get(), buffer, 4096, 0) == 4096);
}

TEST_CASE("passthrough: a program that runs can not be opened for writing") {
    in_both_modes(
        [](Tree& tree) {
            must_run({"cp", "/bin/sleep", tree.below() + "/sleep"});
        },
        [](Tree& tree) {
            Child sleeper([&] { return ::execl((tree / "sleep").c_str(), "sleep", "30", nullptr); });
            // Not before it runs: a writer would keep it from starting.
            std::string exe = "/proc/" + std::to_string(sleeper.pid()) + "/exe";
            CHECK(eventually([&] { return link_target(exe) == tree / "sleep"; }));
            CHECK(try_open(tree / "sleep", O_WRONLY) == ETXTBSY);
            ::kill(sleeper.pid(), SIGKILL);
            CHECK(sleeper.wait() == 128 + SIGKILL);
            CHECK(eventually([&] { return try_open(tree / "sleep", O_WRONLY) == 0; }));
            CHECK(run({tree / "sleep", "0"}).ok());
        });
}

TEST_CASE("passthrough: the caller's file size limit holds") {
    in_both_modes([](Tree& tree) {
        write_file(tree / "f", "");
        CHECK(in_child([&] {
                  ::signal(SIGXFSZ, SIG_IGN);
                  rlimit limit{1000, 1000};
                  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
                  int fd = ::open((tree / "f").c_str(), O_WRONLY | O_CLOEXEC);
                  char block[600] = {};
                  if (::write(fd, block, 600) != 600 || ::write(fd, block, 600) != 400) return 2;
                  if (::write(fd, block, 600) != -1 || errno != EFBIG) return 3;
                  if (::ftruncate(fd, 2000) != -1 || errno != EFBIG) return 4;
                  return ::fallocate(fd, 0, 0, 2000) == -1 && errno == EFBIG ? 0 : 5;
              }) == 0);
    });
}

TEST_CASE("passthrough: noatime holds for what the kernel reads, or it is said where it does not") {
    constexpr long kLongAgo = 1000000;  // older than a change, so that relatime would take note of a read
    const auto read_it = [](Tree& tree, const std::string& on_branch) {
        write_file(tree / "new", "text");
        const timespec times[2] = {{kLongAgo, 0}, {0, UTIME_OMIT}};
        OK(::utimensat(AT_FDCWD, on_branch.c_str(), times, 0));
        Counter count(tree.mnt());
        CHECK(read_file(tree / "new") == "text");
        expect_only_passthrough(count);
        return stat_of(on_branch).st_atim.tv_sec;
    };
    SUBCASE("layers: the upper is read through a mount of our own") {
        Layers tree;
        tree.mount("noatime");
        CHECK(read_it(tree, tree.upper + "/new") == kLongAgo);
    }
    SUBCASE("layers without it") {
        Layers tree;
        tree.mount();
        CHECK(read_it(tree, tree.upper + "/new") > kLongAgo);
    }
    SUBCASE("a pool: as its disks are mounted") {
        Pool pool;
        must_run({"mount", "-o", "remount,noatime", pool.scratch() / "disk_a"});
        const Ran ran = run_plyfs({"-o", "noatime,transport=" + wanted_transport(), pool.a + ":" + pool.b, pool.mnt()});
        CHECK(ran.ok());
        CHECK(ran.err.find("noatime: reading files of " + pool.b) != std::string::npos);
        CHECK(ran.err.find("noatime: reading files of " + pool.a) == std::string::npos);
        const Mount mount = Mount::adopt(pool.mnt());
    }
}

TEST_CASE("passthrough: O_NOATIME is heeded with it and without") {
    if (is_standin()) skip("about plyfs itself");
    for (const char* options : {"", "passthrough=off"}) {
        in_both_modes([](Tree&) {},
                      [](Tree& tree) {
                          const std::string path = tree / "f";
                          write_file(path, "text");
                          const auto access_time_after = [&](int flags) {
                              const timespec times[2] = {{1000, 0}, {0, UTIME_OMIT}};
                              OK(::utimensat(AT_FDCWD, path.c_str(), times, 0));
                              UniqueFd fd = open_file(path, O_RDONLY | flags);
                              CHECK(read_fd(fd.get()) == "text");
                              // The kernel asks anew once a file was read.
                              return stat_of(path).st_atim.tv_sec;
                          };
                          CHECK(access_time_after(O_NOATIME) == 1000);
                          CHECK(access_time_after(0) > 1000);
                      },
                      options);
    }
}

TEST_CASE("passthrough: switched off, everything still works and the daemon serves it") {
    in_both_modes(
        with_file_below,
        [](Tree& tree) {
            Counter count(tree.mnt());
            read_every_way(tree / "old", pattern(kBig, 3));
            move_bytes_every_way(tree / "new");
            if (is_standin()) return;
            CHECK(count("opens.passthrough") == 0);
            CHECK(count("opens.cached") > 0);
            CHECK(count.served() > 0);
            CHECK(tree.stats().text("max_stack_depth") == "off");
        },
        is_standin() ? "" : "passthrough=off");
}

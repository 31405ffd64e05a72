// A mount that knows very many files: few descriptors, and everything is given back when the kernel forgets.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/sandbox.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr int kDirs = 200, kPerDir = 1000;

void make_files(const std::string& root) {
    for (int d = 0; d < kDirs; d++) {
        std::string dir = root + "/d" + std::to_string(d);
        OK(::mkdir(dir.c_str(), 0755));
        UniqueFd at = open_file(dir, O_RDONLY | O_DIRECTORY);
        for (int f = 0; f < kPerDir; f++) OK(::mknodat(at.get(), ("f" + std::to_string(f)).c_str(), S_IFREG | 0644, 0));
    }
}

// Looks at every file, as find -size does; how many there were.
long look_at_all(const std::string& root) {
    std::atomic<long> seen{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; t++)
        threads.emplace_back([&, t] {
            for (int d = t; d < kDirs; d += 2) {
                DIR* dir = ::opendir((root + "/d" + std::to_string(d)).c_str());
                if (!dir) continue;
                struct stat st {};
                while (dirent* entry = ::readdir(dir))
                    if (entry->d_name[0] == 'f' &&
                        ::fstatat(::dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        seen++;
                ::closedir(dir);
            }
        });
    for (std::thread& thread : threads) thread.join();
    return seen;
}

// Sanitizers keep books of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kOwnHeap = false;
#elif defined(__has_feature)
constexpr bool kOwnHeap = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
constexpr bool kOwnHeap = true;
#endif

// What of a process is in memory.
long resident_bytes(pid_t pid) {
    const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
    return 1024 * std::stol(status.substr(status.find("VmRSS:") + 6));
}

}  // namespace

TEST_CASE("nodes: 200,000 known files with at most 4,000 descriptors, forgotten when the kernel forgets") {
    if (is_standin()) skip("about plyfs itself");
    set_deadline(200, "200,000 nodes");
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 512, {"-N", "250000"});
    for (std::string name : {"lower", "upper", "work"}) disk.dir(name);
    make_files(disk / "lower");
    Mount mount("lowerdir=" + (disk / "lower") + ",upperdir=" + (disk / "upper") + ",workdir=" + (disk / "work"), "",
                scratch.dir("mnt"));
    const long at_first = resident_bytes(mount.pid());
    CHECK(look_at_all(mount.path()) == kDirs * kPerDir);
    const long grown = resident_bytes(mount.pid()) - at_first;
    Stats now = mount.stats();
    if (now["nodes"] < kDirs * kPerDir) {
        MESSAGE("the kernel has forgotten some already: " << now["nodes"] << " nodes");
        CHECK(now["nodes"] > kDirs * kPerDir / 2);
    }
    if (kOwnHeap && now["nodes"] > kDirs * kPerDir / 2) CHECK(grown / now["nodes"] <= 640);
    CHECK(now["descriptors"] <= 4000);
    std::string fds = "/proc/" + std::to_string(mount.pid()) + "/fd";
    CHECK(list_dir(fds).size() <= 4000);
    // Still answered from anywhere in the tree.
    OK(::chmod((mount / "d77/f500").c_str(), 0600));
    CHECK((stat_of(disk / "upper/d77/f500").st_mode & 07777) == 0600);
    drop_caches();
    CHECK(eventually([&] { return mount.stats()["nodes"] < 5000; }, 30000));
    const auto given_back = [&] { return resident_bytes(mount.pid()) < at_first + grown / 3; };
    if (kOwnHeap) CHECK(eventually(given_back, 10000));
    CHECK(list_dir(fds).size() <= 4000);
    CHECK((stat_of(mount / "d77/f500").st_mode & 07777) == 0600);
}

TEST_CASE("nodes: those of deleted files go as well") {
    if (is_standin()) skip("about plyfs itself");
    in_both_modes([](Tree& tree) {
        long before = tree.stats()["nodes"];
        for (int i = 0; i < 500; i++) {
            write_file(tree / ("f" + std::to_string(i)), "x");
            OK(::unlink((tree / ("f" + std::to_string(i))).c_str()));
        }
        CHECK(eventually([&] { return tree.stats()["nodes"] <= before + 10; }));
        CHECK(eventually([&] { return tree.stats()["descriptors"] <= 100; }));
    });
}

TEST_CASE("nodes: what a ring's mount is to forget comes gathered") {
    if (is_standin()) skip("about plyfs itself");
    constexpr int kMany = 500;
    Scratch scratch;
    Mount mount(
        "lowerdir=" + scratch.dir("lower") + ",upperdir=" + scratch.dir("upper") + ",workdir=" + scratch.dir("work"),
        "", scratch.dir("mnt"));
    if (wanted_transport() != "io_uring") skip("over /dev/fuse what is to forget comes with the requests");
    Stats before = mount.stats();
    for (int i = 0; i < kMany; i++) write_file(mount / ("f" + std::to_string(i)), "x");
    for (int i = 0; i < kMany; i++) OK(::unlink((mount / ("f" + std::to_string(i))).c_str()));
    CHECK(eventually([&] { return mount.stats()["nodes"] <= before["nodes"]; }));
    CHECK(mount.stats()["requests.forget"] - before["requests.forget"] < kMany / 2);
}

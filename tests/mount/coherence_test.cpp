// What others change on the branches of a pool is seen although the kernel may remember everything for long: the
// timeouts here are far longer than any test.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

#include "pool_ground.h"
#include "support/plyctl.h"
#include "support/stats.h"

using namespace plyfs::test;

namespace {

const std::string kLong = "timeout=1000,negative_timeout=1000,minfreespace=0";
// 50 ms are aimed at; a machine may be busy. What is not told is not seen for 1000 s.
constexpr int kSeen = 5000;

std::unique_ptr<Mount> mount_pool(const PoolGround& ground, const std::string& branches,
                                  const std::string& options = kLong) {
    auto mount = std::make_unique<Mount>(options, ground.branches(branches), ground.mnt);
    REQUIRE(mount->stats().text("coherence") == "watch");
    return mount;
}

void append(const std::string& path, const std::string& text) {
    const UniqueFd fd = open_file(path, O_WRONLY | O_APPEND);
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("coherence: names that others make and remove on a branch are seen") {
    PoolGround ground("ab");
    ground.fill("a:d/f a:d/moved a:d/over b:d/g b:d/sub/deep");
    const auto mount = mount_pool(ground, "a:b");
    const auto shows = [&](const std::string& name) { return exists(*mount / name); };
    for (const char* name : {"d/new", "d/dir", "d/renamed", "d/link", "d/other"}) REQUIRE_FALSE(shows(name));
    for (const char* name : {"d/f", "d/g", "d/moved", "d/over", "d/sub/deep"}) REQUIRE(shows(name));
    const auto over = lstat_of(*mount / "d/over").st_ino;

    write_file(ground.at('b', "d/new"), "x");
    CHECK(eventually([&] { return shows("d/new"); }, kSeen));
    OK(::mkdir(ground.at('b', "d/dir").c_str(), 0755));
    CHECK(eventually([&] { return shows("d/dir"); }, kSeen));
    OK(::link(ground.at('a', "d/f").c_str(), ground.at('a', "d/link").c_str()));
    CHECK(eventually([&] { return shows("d/link") && lstat_of(*mount / "d/f").st_nlink == 2; }, kSeen));
    OK(::unlink(ground.at('b', "d/g").c_str()));
    CHECK(eventually([&] { return !shows("d/g"); }, kSeen));
    OK(::rename(ground.at('a', "d/moved").c_str(), ground.at('a', "d/renamed").c_str()));
    CHECK(eventually([&] { return shows("d/renamed") && !shows("d/moved"); }, kSeen));
    OK(::rename(ground.at('a', "d/f").c_str(), ground.at('a', "d/over").c_str()));
    CHECK(eventually([&] { return lstat_of(*mount / "d/over").st_ino != over && !shows("d/f"); }, kSeen));
    OK(::rename(ground.at('b', "d/sub").c_str(), ground.at('b', "d/other").c_str()));
    CHECK(eventually([&] { return shows("d/other/deep") && !shows("d/sub"); }, kSeen));
    CHECK(list_dir(*mount / "d") == std::vector<std::string>{"dir", "link", "new", "other", "over", "renamed"});
}

TEST_CASE("coherence: without other words a missing name is not asked for again at once, and seen when it is made") {
    PoolGround ground("ab");
    ground.fill("a:d/f b:d/g");
    const auto mount = mount_pool(ground, "a:b", "minfreespace=0");
    const auto shows = [&](const std::string& name) { return exists(*mount / name); };
    REQUIRE(shows("d/f"));
    // A second is long enough for these, also on a busy machine, if not each time.
    CHECK(eventually([&] {
        REQUIRE_FALSE(shows("d/new"));
        const auto asked = mount->stats()["requests.lookup"];
        for (int i = 0; i < 5; ++i) REQUIRE_FALSE(shows("d/new"));
        return mount->stats()["requests.lookup"] == asked;
    }));
    write_file(ground.at('b', "d/new"), "x");
    CHECK(eventually([&] { return shows("d/new"); }, kSeen));
    // What comes with a directory is not told of name by name.
    make_dirs(ground.at('b', "elsewhere"));
    write_file(ground.at('b', "elsewhere/inside"), "x");
    OK(::rename(ground.at('b', "d").c_str(), ground.at('b', "old").c_str()));
    REQUIRE_FALSE(shows("d/inside"));
    OK(::rename(ground.at('b', "elsewhere").c_str(), ground.at('b', "d").c_str()));
    CHECK(eventually([&] { return shows("d/inside"); }, kSeen));
}

TEST_CASE("coherence: attributes and sizes that others change on a branch are seen") {
    PoolGround ground("ab");
    ground.fill("a:d/f b:d/g");
    const auto mount = mount_pool(ground, "a:b");
    const auto shown = [&](const std::string& name) { return lstat_of(*mount / name); };
    REQUIRE(shown("d/f").st_size == 5);
    REQUIRE(shown("d/g").st_size == 5);
    REQUIRE((shown("d").st_mode & 07777) == 0755);

    OK(::chmod(ground.at('a', "d/f").c_str(), 0600));
    CHECK(eventually([&] { return (shown("d/f").st_mode & 07777) == 0600; }, kSeen));
    append(ground.at('b', "d/g"), "more");
    CHECK(eventually([&] { return shown("d/g").st_size == 9; }, kSeen));
    OK(::chmod(ground.at('a', "d").c_str(), 0700));
    CHECK(eventually([&] { return (shown("d").st_mode & 07777) == 0700; }, kSeen));
    // Of the part that is not the first as well.
    const struct timespec times[2] = {{1, 0}, {4102444800, 0}};
    OK(::utimensat(AT_FDCWD, ground.at('b', "d").c_str(), times, 0));
    CHECK(eventually([&] { return shown("d").st_mtim.tv_sec == 4102444800; }, kSeen));
    // Of a file that was written through the mount before.
    append(*mount / "d/g", "!");
    REQUIRE(shown("d/g").st_size == 10);
    append(ground.at('b', "d/g"), "?");
    CHECK(eventually([&] { return shown("d/g").st_size == 11; }, kSeen));
    CHECK(read_file(*mount / "d/g") == "b:d/gmore!?");
}

TEST_CASE("coherence: an open directory that is read again shows what others made") {
    PoolGround ground("ab");
    ground.fill("a:d/f b:d/g");
    const auto mount = mount_pool(ground, "a:b");
    DIR* dir = ::opendir((*mount / "d").c_str());
    REQUIRE(dir);
    const auto count = [&] {
        int names = 0;
        ::rewinddir(dir);
        while (::readdir(dir)) ++names;
        return names;
    };
    REQUIRE(count() == 4);
    nap(150);  // so that the listing may be kept
    write_file(ground.at('b', "d/new"), "x");
    CHECK(eventually([&] { return count() == 5; }, kSeen));
    ::closedir(dir);
}

TEST_CASE("coherence: what the mount itself does makes the kernel ask for nothing anew") {
    PoolGround ground("ab");
    ground.fill("a:d/ b:d/");
    const auto mount = mount_pool(ground, "a:b");
    const Counter done(mount->path());
    for (int i = 0; i < 50; ++i) {
        const std::string name = *mount / "d/f" + std::to_string(i);
        OK(::mkdir(name.c_str(), 0755));
        OK(::chmod(name.c_str(), 0700));
        OK(::rename(name.c_str(), (name + "x").c_str()));
        if (i % 2) OK(::rmdir((name + "x").c_str()));
    }
    // The kernel makes one event of several of one name.
    CHECK(eventually([&] { return done("changes.own") >= 50; }));
    CHECK(done("changes.heard") == 0);
    CHECK(done("changes.expired") == 0);
}

TEST_CASE("coherence: what is written through the mount is not taken for a change of others") {
    PoolGround ground("ab");
    ground.fill("a:d/ b:d/");
    const auto mount = mount_pool(ground, "a:b", kLong + ",create=ff");
    const Counter done(mount->path());
    constexpr int kFiles = 50;
    for (int i = 0; i < kFiles; ++i) write_file(*mount / ("d/f" + std::to_string(i)), "x");
    // The kernel wrote for us, who are another process than the daemon.
    CHECK(eventually([&] { return done("changes.heard") >= kFiles; }));
    nap(100);
    // One or the other may have been closed long before the daemon heard of it.
    CHECK(done("changes.expired") < kFiles / 5);
    append(ground.at('a', "d/f0"), "by another");
    CHECK(eventually([&] { return lstat_of(*mount / "d/f0").st_size == 11; }, kSeen));
}

TEST_CASE("coherence: without a watch the timeouts decide, and without order they are short where nobody watches") {
    PoolGround ground("ab");
    ground.fill("a:d/f b:d/g b:m/");
    {
        const Mount mount(kLong + ",coherence=timeout", ground.branches("a:b"), ground.mnt);
        CHECK(mount.stats().text("coherence") == "timeout");
        REQUIRE(exists(mount / "d/g"));
        OK(::unlink(ground.at('b', "d/g").c_str()));
        nap(200);
        CHECK(exists(mount / "d/g"));
    }
    // A file system mounted inside a branch is another one.
    const Mounted inside("none", ground.at('b', "m"), "tmpfs", 0, "size=1M");
    write_file(ground.at('b', "m/f"), "x");
    const auto mount = mount_pool(ground, "a:b", "minfreespace=0");
    CHECK(mount->stats().text("timeouts.entry") == "60");
    REQUIRE(exists(*mount / "m/f"));
    REQUIRE(exists(*mount / "d/f"));
    OK(::unlink(ground.at('b', "m/f").c_str()));
    CHECK(eventually([&] { return !exists(*mount / "m/f"); }, 3000));
}

TEST_CASE("coherence: where a branch can not be watched the timeouts stay short, or the mount is refused") {
    PoolGround ground("abc");
    ground.fill("a:f b:g");
    const Mount lower("minfreespace=0", ground.branches("a"), ground.scratch.dir("lower"));
    const std::string branches = ground.at('b', "") + ":" + lower.path();
    {
        const Mount mount("minfreespace=0", branches, ground.mnt);
        CHECK(mount.stats().text("coherence") == "timeout");
        CHECK(mount.stats().text("coherence_why").find(lower.path()) == 0);
        CHECK(mount.stats().text("timeouts.entry") == "1");
    }
    const Ran refused = run_plyfs({branches, ground.mnt, "-o", "minfreespace=0,coherence=watch"});
    CHECK(refused.code == 32);
    CHECK(refused.err.find("coherence=watch can not be had: " + lower.path()) != std::string::npos);
}

TEST_CASE("coherence: when more happened than could be heard, everything known is asked anew") {
    PoolGround ground("a");
    ground.fill("a:d/f a:d/g a:e/");
    const auto mount = mount_pool(ground, "a", "minfreespace=0,entry_timeout=1000,attr_timeout=1000");
    REQUIRE(exists(*mount / "d/f"));
    REQUIRE(lstat_of(*mount / "d/g").st_size == 5);
    stop_process(mount->pid());
    const int queued = std::stoi(read_file("/proc/sys/fs/fanotify/max_queued_events"));
    if (queued > 50000) skip("the kernel queues more events than a test should make");
    for (int i = 0; i < queued + 100; ++i) OK(::mkdir(ground.at('a', "e/" + std::to_string(i)).c_str(), 0755));
    OK(::unlink(ground.at('a', "d/f").c_str()));
    append(ground.at('a', "d/g"), "more");
    OK(::kill(mount->pid(), SIGCONT));
    CHECK(eventually([&] { return mount->stats()["changes.doubts"] > 0; }, 20000));
    CHECK(eventually([&] { return !exists(*mount / "d/f"); }));
    CHECK(eventually([&] { return lstat_of(*mount / "d/g").st_size == 9; }));
}

TEST_CASE("coherence: a name that changes again and again while it is looked at ends as what it is") {
    PoolGround ground("ab");
    ground.fill("a:d/keep b:d/");
    const auto mount = mount_pool(ground, "a:b");
    const std::string name = *mount / "d/f";
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back([&] {
            struct stat st;
            while (!stop) static_cast<void>(::stat(name.c_str(), &st));
        });
    }
    int wrong = 0;
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 20; ++i) {
            write_file(ground.at('b', "d/f"), "");
            if (i % 3 == 0) nap(1);
            OK(::unlink(ground.at('b', "d/f").c_str()));
        }
        if (!eventually([&] { return !exists(name); }, kSeen)) ++wrong;
        write_file(ground.at('b', "d/f"), "end");
        if (!eventually([&] { return exists(name) && lstat_of(name).st_size == 3; }, kSeen)) ++wrong;
        OK(::unlink(ground.at('b', "d/f").c_str()));
    }
    stop = true;
    for (auto& reader : readers) reader.join();
    CHECK(wrong == 0);
}

TEST_CASE("coherence: one branch twice the same file system, and one seen through another mount") {
    if (is_standin()) skip("about plyfs itself");
    need_privilege("mounts");
    Scratch scratch;
    LoopFs disk("tmpfs", scratch.path(), "disk", 16);
    for (const char* name : {"one/d", "two/d", "elsewhere"}) make_dirs(disk / name);
    make_dirs(scratch / "bound");
    const Mounted bound(disk / "two", scratch / "bound", "", MS_BIND, "");
    const Mount mount(kLong, (disk / "one") + ":" + (scratch / "bound"), scratch.dir("mnt"));
    REQUIRE(mount.stats().text("coherence") == "watch");
    REQUIRE_FALSE(exists(mount / "d/f"));
    write_file(disk / "two/d/f", "x");
    CHECK(eventually([&] { return exists(mount / "d/f"); }, kSeen));
    nap(200);  // each is told a second time
    const Counter done(mount.path());
    write_file(disk / "elsewhere/f", "x");
    CHECK(eventually([&] { return done("changes.heard") > 0; }, kSeen));
    CHECK(done("changes.expired") == 0);
}

TEST_CASE("coherence: what others append on the branch stays, also where the daemon writes") {
    for (const std::string how : {"", ",passthrough=off"}) {
        PoolGround ground("ab");
        write_file(ground.at('a', "f"), "one\n");
        const auto mount = mount_pool(ground, "a:b", kLong + how);
        const UniqueFd fd = open_file(*mount / "f", O_RDWR | O_APPEND);
        const auto add = [&](const std::string& text) {
            REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        };
        add("mount 1\n");
        append(ground.at('a', "f"), "branch: twenty characters\n");
        add("mount 2\n");
        const std::string all = "one\nmount 1\nbranch: twenty characters\nmount 2\n";
        CHECK(read_file(ground.at('a', "f")) == all);
        CHECK(eventually([&] { return read_file(*mount / "f") == all; }, kSeen));
        // A page that is changed through a map has its place, whatever the descriptor does otherwise.
        void* map = ::mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        REQUIRE(map != MAP_FAILED);
        std::memcpy(map, "ONE", 3);
        OK(::msync(map, 3, MS_SYNC));
        OK(::munmap(map, 3));
        CHECK(read_file(ground.at('a', "f")) == "ONE" + all.substr(3));
    }
}

TEST_CASE("coherence: other content of the same size and time is seen without passthrough") {
    for (const std::string how : {"coherence=watch", "coherence=timeout,timeout=0"}) {
        PoolGround ground("ab");
        const std::string at = ground.at('a', "f");
        const timespec times[2] = {{1000, 0}, {1000, 0}};
        const auto put = [&](const std::string& text) {
            write_fd(open_file(at, O_WRONLY).get(), text, 0);
            OK(::utimensat(AT_FDCWD, at.c_str(), times, 0));
        };
        write_file(at, "AAAA");
        put("AAAA");
        const Mount mount("minfreespace=0,passthrough=off," + how, ground.branches("a:b"), ground.mnt);
        REQUIRE(read_file(mount / "f") == "AAAA");
        put("BBBB");
        CHECK(eventually([&] { return read_file(mount / "f") == "BBBB"; }, kSeen));
        if (how != "coherence=watch") continue;
        const UniqueFd fd = open_file(mount / "f", O_RDONLY);
        void* map = ::mmap(nullptr, 4, PROT_READ, MAP_SHARED, fd.get(), 0);
        REQUIRE(map != MAP_FAILED);
        REQUIRE(std::memcmp(map, "BBBB", 4) == 0);
        put("CCCC");
        CHECK(eventually([&] { return std::memcmp(map, "CCCC", 4) == 0; }, kSeen));
        OK(::munmap(map, 4));
    }
}

TEST_CASE("coherence: without a descriptor left the daemon says so, and changes are not missed for good") {
    PoolGround ground("ab");
    ground.fill("a:k/f a:gone");
    const auto mount = mount_pool(ground, "a:b", kLong + ",passthrough=off");
    REQUIRE(lstat_of(*mount / "k").st_mode % 01000 == 0755);
    REQUIRE(exists(*mount / "gone"));
    const auto used =
        std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(mount->pid()) + "/fd"),
                      std::filesystem::directory_iterator());
    const auto limit = static_cast<rlim_t>(used + 60);
    const rlimit few = {limit, limit};
    OK(::prlimit(mount->pid(), RLIMIT_NOFILE, &few, nullptr));
    std::vector<UniqueFd> held;
    int fd = 0;
    while (held.size() < 200 && (fd = ::open((*mount / ("new" + std::to_string(held.size()))).c_str(),
                                             O_RDWR | O_CREAT | O_CLOEXEC, 0644)) >= 0) {
        held.emplace_back(fd);
    }
    // Not the caller's limit.
    CHECK(fd < 0);
    CHECK(errno == ENFILE);
    const Ran status = run_plyctl({"status", mount->path()});
    CHECK_FALSE(status.ok());
    const std::string told = "no descriptor left of " + std::to_string(limit);
    CHECK_MESSAGE(status.err.find(told) != std::string::npos, status.err);
    OK(::chmod(ground.at('a', "k").c_str(), 0700));
    OK(::unlink(ground.at('a', "gone").c_str()));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    held.clear();
    CHECK(eventually([&] { return lstat_of(*mount / "k").st_mode % 01000 == 0700; }, kSeen));
    CHECK(eventually([&] { return !exists(*mount / "gone"); }, kSeen));
}

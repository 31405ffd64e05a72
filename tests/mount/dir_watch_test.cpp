// In a pool the names of directories are known as well, although others change the branches: what they make is seen at
// once, however little the branches are asked.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <memory>
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

constexpr int kBranches = 5;

// A pool with a directory d on all of its branches, and f<i> in that of each.
class Pool {
  public:
    Pool() : disk_("tmpfs", scratch_.path(), "disk", 256) {
        if (is_standin()) skip("about plyfs itself");
        std::string branches;
        for (int i = 0; i < kBranches; ++i) {
            make_dirs(on(i, "d"));
            write_file(on(i, "d/f" + std::to_string(i)), "");
            branches += (i ? ":" : "") + on(i, "");
        }
        // What the kernel remembers does not come here to be asked for.
        mount_ = std::make_unique<Mount>("minfreespace=0,negative_timeout=0", branches, scratch_.dir("mnt"));
    }
    std::string on(int branch, const std::string& path) const {
        return (disk_ / "b" + std::to_string(branch)) + (path.empty() ? "" : "/" + path);
    }
    std::string operator/(const std::string& path) const { return *mount_ / path; }
    // Asks for what is missing until the names are known.
    void learn(const std::string& dir) const {
        for (int i = 0; i < 12 * kBranches; ++i) {
            REQUIRE_FALSE(exists(*mount_ / dir + "/missing" + std::to_string(++asked_)));
        }
    }
    const Mount& mount() const { return *mount_; }

  private:
    Scratch scratch_;
    LoopFs disk_;
    std::unique_ptr<Mount> mount_;
    mutable int asked_ = 0;
};

}  // namespace

TEST_CASE("directory watch: a name that is missing costs no branch anything, and one that is there costs one") {
    Pool pool;
    pool.learn("d");
    const Counter done(pool.mount().path());
    for (int i = 0; i < 10; ++i) CHECK_FALSE(exists(pool / "d/none" + std::to_string(i)));
    CHECK(done("branches_spared") == 10 * kBranches);
    CHECK(exists(pool / "d/f4"));
    CHECK(done("branches_spared") == 10 * kBranches + kBranches - 1);
}

TEST_CASE("directory watch: a name made on a branch in whatever way is seen at once") {
    Pool pool;
    pool.learn("d");
    const std::string at = pool.on(3, "d/");
    write_file(pool.on(3, "outside"), "x");
    write_file(at + "file", "x");
    CHECK(exists(pool / "d/file"));
    make_dirs(at + "dir");
    CHECK(exists(pool / "d/dir"));
    OK(::symlink("nowhere", (at + "symlink").c_str()));
    CHECK(exists(pool / "d/symlink"));
    OK(::mkfifo((at + "fifo").c_str(), 0600));
    CHECK(exists(pool / "d/fifo"));
    OK(::link(pool.on(3, "outside").c_str(), (at + "link").c_str()));
    CHECK(exists(pool / "d/link"));
    OK(::rename(pool.on(3, "outside").c_str(), (at + "renamed").c_str()));
    CHECK(exists(pool / "d/renamed"));
    OK(::rename((at + "renamed").c_str(), (at + "again").c_str()));
    CHECK(exists(pool / "d/again"));
    const UniqueFd nameless(::open(at.c_str(), O_TMPFILE | O_WRONLY, 0600));
    REQUIRE(nameless.valid());
    const std::string number = "/proc/self/fd/" + std::to_string(nameless.get());
    OK(::linkat(AT_FDCWD, number.c_str(), AT_FDCWD, (at + "named").c_str(), AT_SYMLINK_FOLLOW));
    CHECK(exists(pool / "d/named"));
    // And what is made through the mount.
    write_file(pool / "d/own", "x");
    OK(::rename((pool / "d/own").c_str(), (pool / "d/moved").c_str()));
    CHECK(exists(pool / "d/moved"));
    CHECK_FALSE(exists(pool / "d/own"));
    CHECK(list_dir(pool / "d").size() == kBranches + 8);
}

TEST_CASE("directory watch: no name is ever late, whoever makes it and whoever asks") {
    Pool pool;
    pool.learn("d");
    std::atomic<int> late{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 500; ++i) {
                const std::string name = "d/n" + std::to_string(t) + "_" + std::to_string(i);
                if (exists(pool / name)) ++late;
                const int fd = ::open(pool.on((t + i) % kBranches, name).c_str(), O_WRONLY | O_CREAT, 0600);
                ::close(fd);
                if (fd < 0 || !exists(pool / name)) ++late;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(late == 0);
}

TEST_CASE("directory watch: more names than the kernel has room to tell are not missed") {
    Pool pool;
    for (int i = 0; i < kBranches; ++i) make_dirs(pool.on(i, "busy"));
    pool.learn("d");
    pool.learn("busy");
    for (int i = 0; i < 40000; ++i) {
        OK(::mknod(pool.on(1, "busy/n" + std::to_string(i)).c_str(), S_IFREG | 0600, 0));
    }
    write_file(pool.on(2, "d/new"), "");
    CHECK(exists(pool / "d/new"));
    CHECK(exists(pool / "busy/n39999"));
    CHECK_FALSE(exists(pool / "busy/none"));
    // It is learnt anew.
    pool.learn("d");
    const Counter done(pool.mount().path());
    CHECK_FALSE(exists(pool / "d/none"));
    CHECK(done("branches_spared") == kBranches);
}

TEST_CASE("directory watch: a directory that another one has taken the place of on its branch") {
    Pool pool;
    pool.learn("d");
    const UniqueFd inside = open_file(pool / "d", O_RDONLY | O_DIRECTORY);
    OK(::rename(pool.on(3, "d").c_str(), pool.on(3, "gone").c_str()));
    make_dirs(pool.on(3, "d"));
    write_file(pool.on(3, "d/new"), "");
    // By the time the kernel believes the name `d` for.
    CHECK(eventually([&] { return exists(pool / "d/new"); }));
    CHECK_FALSE(exists(pool / "d/f3"));
    CHECK(exists(pool / "gone/f3"));
}

TEST_CASE("directory watch: what a directory shows changes with each of its parts") {
    Pool pool;
    pool.learn("d");
    const auto shown = [&] { return stat_of(pool / "d"); };
    const auto links = shown().st_nlink;
    make_dirs(pool.on(3, "d/sub"));
    // By the time the kernel believes attributes for.
    CHECK(eventually([&] { return shown().st_nlink == links + 1; }));
    CHECK(ns(shown().st_mtim) == ns(stat_of(pool.on(3, "d")).st_mtim));
    OK(::rmdir(pool.on(3, "d/sub").c_str()));
    CHECK(eventually([&] { return shown().st_nlink == links; }));
    const struct timespec times[2] = {{1, 0}, {4102444800, 0}};
    OK(::utimensat(AT_FDCWD, pool.on(2, "d").c_str(), times, 0));
    CHECK(eventually([&] { return shown().st_mtim.tv_sec == 4102444800; }));
    // What is done through the mount shows at once.
    OK(::mkdir((pool / "d/own").c_str(), 0755));
    CHECK(shown().st_nlink == links + 1);
    OK(::rmdir((pool / "d/own").c_str()));
    CHECK(shown().st_nlink == links);
}

TEST_CASE("directory watch: a branch that went and came back with other names") {
    need_privilege("file systems that come and go");
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    for (const char* name : {"a/d", "b/d", "c"}) make_dirs(scratch / name);
    auto disk = std::make_unique<Mounted>("none", scratch / "c", "tmpfs", 0, "size=16M");
    make_dirs(scratch / "c/d");
    Mount mount("minfreespace=0", scratch / "a" + ":" + scratch / "b" + ":" + scratch / "c", scratch.dir("mnt"));
    for (int i = 0; i < 60; ++i) REQUIRE_FALSE(exists(mount / "d/missing" + std::to_string(i)));
    OK(::umount2((scratch / "c").c_str(), MNT_DETACH));
    CHECK(eventually([&] { return mount.stats().text("branch.2.present") == "no"; }, 10000));
    disk->reset();
    Mounted again("none", scratch / "c", "tmpfs", 0, "size=16M");
    make_dirs(scratch / "c/d");
    write_file(scratch / "c/d/new", "");
    CHECK(eventually([&] { return exists(mount / "d/new"); }, 10000));
}

// Copy-up: complete or not at all, once, and with everything that belongs to the file.
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "pool_ground.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// What a work directory may hold when nothing is under way: folders of the union itself, no object of a user.
std::size_t leftovers(const std::string& work) {
    Ran ran = run({"find", work, "-mindepth", "2", "-size", "+0", "-type", "f"});
    std::size_t lines = 0;
    for (char c : ran.out) lines += c == '\n';
    return lines;
}

void touch_past(const std::string& path) {
    timespec past[2] = {{1111111111, 111}, {1222222222, 222}};
    OK(::utimensat(AT_FDCWD, path.c_str(), past, AT_SYMLINK_NOFOLLOW));
}

}  // namespace

TEST_CASE("copy-up: threads that change and open one lower file cause one, and lose nothing") {
    Layers tree;
    for (int i = 0; i < 8; i++) write_file(tree.lower + "/f" + std::to_string(i), pattern(300000, 5));
    tree.mount();
    for (int i = 0; i < 8; i++) {
        std::string path = tree / ("f" + std::to_string(i));
        Counter count(tree.mnt());
        std::atomic<int> failed{0}, ready{0};
        auto racing = [&](const std::function<long()>& change) {
            return std::thread([&, change] {
                ready++;
                while (ready < 6) std::this_thread::yield();
                if (change() == -1) failed++;
            });
        };
        timespec times[2] = {{1000, 0}, {2000, 0}};
        std::vector<std::thread> threads;
        threads.push_back(racing([&] { return ::chmod(path.c_str(), 0604); }));
        threads.push_back(racing([&] { return ::lchown(path.c_str(), 123, 456); }));
        threads.push_back(racing([&] { return ::lsetxattr(path.c_str(), "user.one", "1", 1, 0); }));
        threads.push_back(racing([&] { return ::lsetxattr(path.c_str(), "user.two", "2", 1, 0); }));
        threads.push_back(racing([&] {
            int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
            if (fd < 0) return -1L;
            long n = ::pwrite(fd, "thread", 6, 1000);
            ::close(fd);
            return n;
        }));
        threads.push_back(racing([&] {
            int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
            if (fd < 0) return -1L;
            long n = ::write(fd, "appended", 8);
            ::close(fd);
            return n;
        }));
        for (std::thread& t : threads) t.join();
        OK(::utimensat(AT_FDCWD, path.c_str(), times, 0));
        CHECK(failed == 0);
        if (!is_standin()) CHECK(count("copyups") == 1);
        struct stat st = stat_of(path);
        CHECK((st.st_mode & 07777) == 0604);
        CHECK(st.st_uid == 123);
        CHECK(st.st_gid == 456);
        CHECK(st.st_mtim.tv_sec == 2000);
        CHECK(get_xattr(path, "user.one") == "1");
        CHECK(get_xattr(path, "user.two") == "2");
        std::string wanted = pattern(300000, 5) + "appended";
        CHECK(read_file(path) == wanted.replace(1000, 6, "thread"));
    }
    CHECK(leftovers(tree.work) == 0);
}

TEST_CASE("copy-up: owner, mode, times, attributes, ACL and capabilities come along") {
    if (!have_tool("setfacl") || !have_tool("setcap")) skip("setfacl and setcap are needed");
    Layers tree;
    make_dirs(tree.lower + "/dir");
    for (std::string name : {"f", "dir/g"}) {
        write_file(tree.lower + "/" + name, pattern(5000), 0755);
        OK(::chown((tree.lower + "/" + name).c_str(), 1001, 1002));
        OK(::chmod((tree.lower + "/" + name).c_str(), 06751));
        set_xattr(tree.lower + "/" + name, "user.note", "kept");
        set_xattr(tree.lower + "/" + name, "trusted.note", "kept too");
        must_run({"setfacl", "-m", "u:1234:r--", tree.lower + "/" + name});
        must_run({"setcap", "cap_net_raw+ep", tree.lower + "/" + name});
        touch_past(tree.lower + "/" + name);
    }
    OK(::chown((tree.lower + "/dir").c_str(), 77, 78));
    OK(::chmod((tree.lower + "/dir").c_str(), 01770));
    must_run({"setfacl", "-d", "-m", "u:4321:rwx", tree.lower + "/dir"});
    set_xattr(tree.lower + "/dir", "user.dir", "note");
    touch_past(tree.lower + "/dir");
    tree.mount();
    for (std::string name : {"f", "dir/g"}) {
        CAPTURE(name);
        struct stat before = stat_of(tree / name);
        auto attributes = all_xattrs(tree / name);
        CHECK(attributes.size() == 4);
        // utimens of atime alone: copied up, and nothing else of it changes
        timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
        OK(::utimensat(AT_FDCWD, (tree / name).c_str(), times, 0));
        CHECK(exists(tree.upper + "/" + name));
        struct stat after = stat_of(tree / name);
        CHECK(after.st_mode == before.st_mode);
        CHECK(after.st_uid == 1001);
        CHECK(after.st_gid == 1002);
        CHECK(ns(after.st_mtim) == 1222222222000000222LL);
        CHECK(after.st_ino == before.st_ino);
        CHECK(after.st_nlink == 1);
        CHECK(all_xattrs(tree / name) == attributes);
        CHECK(read_file(tree / name) == pattern(5000));
        auto on_branch = all_xattrs(tree.upper + "/" + name);
        for (const auto& [key, value] : attributes) CHECK(on_branch[key] == value);
    }
    struct stat dir = stat_of(tree.upper + "/dir");
    CHECK(dir.st_uid == 77);
    CHECK(dir.st_gid == 78);
    CHECK((dir.st_mode & 07777) == 01770);
    CHECK(get_xattr(tree.upper + "/dir", "user.dir") == "note");
    CHECK(get_xattr(tree.upper + "/dir", "system.posix_acl_default") ==
          get_xattr(tree.lower + "/dir", "system.posix_acl_default"));
    CHECK(ns(dir.st_mtim) == 1222222222000000222LL);
}

TEST_CASE("copy-up: whoever has the original open sees the attributes of the copy") {
    for (const std::string options : {"", "metacopy=on"}) {
        CAPTURE(options);
        Layers tree;
        write_file(tree.lower + "/f", "text");
        set_xattr(tree.lower + "/f", "user.a", "old");
        tree.mount(options);
        const UniqueFd reader = open_file(tree / "f", O_RDONLY);
        const auto attribute = [](const UniqueFd& fd) {
            char value[16];
            const ssize_t n = ::fgetxattr(fd.get(), "user.a", value, sizeof value);
            return n < 0 ? std::string("none") : std::string(value, static_cast<std::size_t>(n));
        };
        CHECK(attribute(reader) == "old");
        OK(::setxattr((tree / "f").c_str(), "user.a", "new", 3, 0));
        CHECK(attribute(reader) == "new");
        const UniqueFd writer = open_file(tree / "f", O_RDWR);
        OK(::fsetxattr(writer.get(), "user.a", "newer", 5, 0));
        CHECK(attribute(writer) == "newer");
        OK(::unlink((tree / "f").c_str()));
        CHECK(attribute(writer) == "newer");
    }
}

TEST_CASE("copy-up: symlinks, devices and fifos") {
    need_privilege("devices");
    Layers tree;
    OK(::symlink("to nowhere", (tree.lower + "/link").c_str()));
    OK(::mknod((tree.lower + "/null").c_str(), S_IFCHR | 0600, 0x103));
    OK(::mkfifo((tree.lower + "/fifo").c_str(), 0600));
    for (std::string name : {"link", "null", "fifo"}) touch_past(tree.lower + "/" + name);
    tree.mount();
    for (std::string name : {"link", "null", "fifo"}) {
        CAPTURE(name);
        struct stat before = lstat_of(tree / name);
        OK(::lchown((tree / name).c_str(), 9, 9));
        struct stat after = lstat_of(tree / name);
        CHECK(after.st_mode == before.st_mode);
        CHECK(after.st_rdev == before.st_rdev);
        CHECK(after.st_uid == 9);
        CHECK(ns(after.st_mtim) == 1222222222000000222LL);
        OK(::rename((tree / name).c_str(), (tree / (name + "2")).c_str()));
        CHECK(lstat_of(tree / (name + "2")).st_mode == before.st_mode);
    }
    CHECK(link_target(tree / "link2") == "to nowhere");
}

TEST_CASE("copy-up: holes stay holes") {
    Layers tree;
    UniqueFd lower = open_file(tree.lower + "/holes", O_CREAT | O_RDWR);
    write_fd(lower.get(), pattern(4096, 8), 8 << 20);
    write_fd(lower.get(), pattern(100, 9), 20 << 20);
    OK(::ftruncate(lower.get(), 32 << 20));
    tree.mount();
    UniqueFd fd = open_file(tree / "holes", O_RDWR);
    CHECK(stat_of(fd.get()).st_size == 32 << 20);
    CHECK(stat_of(fd.get()).st_blocks * 512 <= 64 << 10);
    CHECK(OK(::lseek(fd.get(), 0, SEEK_DATA)) == 8 << 20);
    CHECK(OK(::lseek(fd.get(), 8 << 20, SEEK_HOLE)) == (8 << 20) + 4096);
    CHECK(read_fd(fd.get(), 8 << 20, 4096) == pattern(4096, 8));
    CHECK(read_fd(fd.get(), 20 << 20, 100) == pattern(100, 9));
}

TEST_CASE("copy-up: inode flags come along") {
    need_privilege("inode flags");
    Layers tree;
    write_file(tree.lower + "/f", "x");
    {
        UniqueFd fd = open_file(tree.lower + "/f", O_RDONLY);
        int flags = FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL;
        OK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
    }
    tree.mount();
    OK(::chmod((tree / "f").c_str(), 0600));
    UniqueFd fd = open_file(tree / "f", O_RDONLY);
    int flags = 0;
    OK(::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags));
    CHECK((flags & (FS_NOATIME_FL | FS_SYNC_FL)) == (FS_NOATIME_FL | FS_SYNC_FL));
}

TEST_CASE("copy-up: hard links of a lower file stay one file") {
    Layers tree;
    make_dirs(tree.lower + "/d");
    write_file(tree.lower + "/a", pattern(1000));
    OK(::link((tree.lower + "/a").c_str(), (tree.lower + "/d/b").c_str()));
    OK(::link((tree.lower + "/a").c_str(), (tree.lower + "/d/c").c_str()));
    tree.mount();
    CHECK(stat_of(tree / "a").st_nlink == 3);
    write_file(tree / "d/b", "changed");
    for (std::string name : {"a", "d/b", "d/c"}) {
        CAPTURE(name);
        CHECK(read_file(tree / name) == "changed");
        CHECK(stat_of(tree / name).st_ino == stat_of(tree / "a").st_ino);
        CHECK(stat_of(tree / name).st_nlink == 3);
    }
    OK(::unlink((tree / "a").c_str()));
    CHECK(read_file(tree / "d/c") == "changed");
    OK(::chmod((tree / "d/c").c_str(), 0600));
    CHECK((stat_of(tree / "d/b").st_mode & 07777) == 0600);
}

TEST_CASE("copy-up: hard links of a lower file stay one file when the kernel has forgotten it") {
    Layers tree;
    write_file(tree.lower + "/a", "old");
    OK(::link((tree.lower + "/a").c_str(), (tree.lower + "/b").c_str()));
    tree.mount();
    write_file(tree / "a", "new");  // b was never looked at so far
    // What the stress test meets by chance: the last dentry goes between the copy and the first look at the
    // other name.
    drop_caches();
    CHECK(read_file(tree / "b") == "new");
    CHECK(stat_of(tree / "a").st_ino == stat_of(tree / "b").st_ino);
    CHECK(stat_of(tree / "a").st_nlink == 2);
    write_file(tree / "b", "newer");
    CHECK(read_file(tree / "a") == "newer");
    if (!is_standin()) CHECK(tree.stats()["copyups"] == 1);
}

TEST_CASE("copy-up: a name that is met while its file is copied up is a name of the copy") {
    std::unique_ptr<Layers> layers;
    std::unique_ptr<PoolGround> pool;
    std::unique_ptr<Mount> mount;
    std::string below, mnt;
    SUBCASE("layers") {
        layers = std::make_unique<Layers>();
        below = layers->lower, mnt = layers->mnt();
    }
    SUBCASE("a pool") {
        if (is_unprivileged()) return;
        pool = std::make_unique<PoolGround>("ab");
        below = pool->at('b', ""), mnt = pool->mnt;
    }
    const auto start = [&] {
        if (layers) return layers->mount("index=off");
        mount = std::make_unique<Mount>("create=ff,minfreespace=0", pool->branches("a:b=ro"), mnt);
    };
    const std::vector<std::string> names = {"b", "c", "d", "e"};
    for (std::string file : {"1", "2", "3", "4", "5", "6"}) {
        write_file(below + "/" + file, pattern(1000000));
        for (const auto& name : names) OK(::link((below + "/" + file).c_str(), (below + "/" + file + name).c_str()));
    }
    start();
    for (std::string file : {"1", "2", "3", "4", "5", "6"}) {
        std::atomic<int> failed = 0;
        std::vector<std::jthread> writers;
        for (const auto& name : names) {
            writers.emplace_back([&, path = mnt + "/" + file + name] {
                const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
                if (!fd.valid() || ::write(fd.get(), "written", 7) != 7) ++failed;
            });
        }
        writers.clear();
        CHECK(failed == 0);
    }
    // As after a reboot: only what lies above tells which names there are.
    if (layers) layers->unmount();
    mount.reset();
    start();
    for (std::string file : {"1", "2", "3", "4", "5", "6"}) {
        for (const auto& name : names) {
            CAPTURE(file + name);
            CHECK(stat_of(mnt + "/" + file + name).st_size == 1000028);
        }
    }
}

TEST_CASE("copy-up: no room for the copy leaves nothing, and the old file") {
    Layers tree;
    write_file(tree.lower + "/big", pattern(30 << 20));
    tree.mount();
    UniqueFd filler = open_file(tree / "filler", O_CREAT | O_RDWR);
    REQUIRE(::fallocate(filler.get(), 0, 0, 35 << 20) == 0);
    FAILS(ENOSPC, ::open((tree / "big").c_str(), O_RDWR | O_CLOEXEC));
    CHECK_FALSE(exists(tree.upper + "/big"));
    CHECK(leftovers(tree.work) == 0);
    CHECK(stat_of(tree / "big").st_size == 30 << 20);
    CHECK(read_fd(open_file(tree / "big", O_RDONLY).get(), 0, 1000) == pattern(1000));
    OK(::ftruncate(filler.get(), 0));
    CHECK(try_open(tree / "big", O_RDWR) == 0);
    CHECK(read_file(tree / "big").substr(0, 30 << 20).size() == 16 << 20);  // read_file stops at 16 MiB
}

TEST_CASE("copy-up: of only what is kept, when the open truncates") {
    Layers tree;
    write_file(tree.lower + "/big", pattern(40 << 20));
    tree.mount();
    UniqueFd filler = open_file(tree / "filler", O_CREAT | O_RDWR);
    REQUIRE(::fallocate(filler.get(), 0, 0, 50 << 20) == 0);  // too little is left for a whole copy
    write_file(tree / "big", "short");
    CHECK(read_file(tree / "big") == "short");
}

TEST_CASE("copy-up: what XFS shows of ACLs beside them is neither listed nor copied") {
    if (!have_tool("setfacl") || !have_tool("mkfs.xfs")) skip("setfacl and mkfs.xfs are needed");
    need_privilege("attributes that only root is shown");
    constexpr const char* kFile = "trusted.SGI_ACL_FILE";
    constexpr const char* kDefault = "trusted.SGI_ACL_DEFAULT";
    Layers tree({.lower_kind = "xfs", .mib = 320});
    write_file(tree.lower + "/f", "content");
    make_dirs(tree.lower + "/d");
    must_run({"setfacl", "-m", "u:1234:r--", tree.lower + "/f"});
    must_run({"setfacl", "-d", "-m", "u:1234:r-x", tree.lower + "/d"});
    CHECK(get_xattr(tree.lower + "/f", kFile) != "(none)");
    CHECK(get_xattr(tree.lower + "/d", kDefault) != "(none)");
    tree.mount();
    for (std::string name : {"f", "d"}) {
        CAPTURE(name);
        CHECK(must_run({"getfattr", "-d", "-m", "-", tree / name}).out.find("SGI_ACL") == std::string::npos);
        const std::string acl = must_run({"getfacl", "-cn", tree / name}).out;
        OK(::chown((tree / name).c_str(), 1, 1));
        CHECK(must_run({"getfacl", "-cn", tree / name}).out == acl);
        CHECK(get_xattr(tree.upper + "/" + name, kFile) == "(none)");
        CHECK(get_xattr(tree.upper + "/" + name, kDefault) == "(none)");
    }
}

TEST_CASE("copy-up: a truncated file has changed now, whatever the file system thinks of its size") {
    for (std::string kind : {"ext4", "tmpfs", "xfs"}) {
        if (!have_tool("mkfs." + kind) && kind != "tmpfs") continue;
        CAPTURE(kind);
        Layers tree({.upper_kind = kind, .mib = 320});  // the least that XFS takes
        for (std::string name : {"shorter", "empty", "opened", "longer"}) {
            write_file(tree.lower + "/" + name, pattern(5000));
            touch_past(tree.lower + "/" + name);
        }
        tree.mount();
        OK(::truncate((tree / "shorter").c_str(), 100));
        OK(::truncate((tree / "empty").c_str(), 0));
        OK(::truncate((tree / "longer").c_str(), 6000));
        CHECK(try_open(tree / "opened", O_WRONLY | O_TRUNC) == 0);
        for (std::string name : {"shorter", "empty", "opened", "longer"}) {
            CAPTURE(name);
            CHECK(stat_of(tree / name).st_mtim.tv_sec > 1700000000);
            CHECK(stat_of(tree.upper + "/" + name).st_mtim.tv_sec > 1700000000);
        }
    }
}

TEST_CASE("copy-up: a big one is interrupted by a signal, and leaves nothing") {
    // Rings deliver no interrupts, and the stand-in is not asked.
    Layers tree({.mib = 700});
    {
        UniqueFd fd = open_file(tree.lower + "/huge", O_CREAT | O_RDWR);
        std::string block = pattern(1 << 20);
        for (int i = 0; i < 500; i++) write_fd(fd.get(), block, static_cast<off_t>(i) << 20);
        OK(::fsync(fd.get()));
    }
    tree.mount();
    // Rings deliver no interrupts: there the daemon looks at the caller's pending signals.
    Child opener([&] {
        struct sigaction nothing {};
        nothing.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &nothing, nullptr);
        return ::open((tree / "huge").c_str(), O_RDWR | O_CLOEXEC) == -1 ? errno : 0;
    });
    nap(60);
    ::kill(opener.pid(), SIGUSR1);
    int result = opener.wait();
    if (result == 0) skip("the copy was faster than the signal");
    CHECK(result == EINTR);
    CHECK(eventually([&] { return leftovers(tree.work) == 0; }));
    CHECK_FALSE(exists(tree.upper + "/huge"));
    CHECK(stat_of(tree / "huge").st_size == 500 << 20);
    // And while it is copied again, others get their answers.
    Child second([&] { return ::open((tree / "huge").c_str(), O_RDWR | O_CLOEXEC) == -1 ? errno : 0; });
    for (int i = 0; i < 20; i++) write_file(tree / "small", "works");
    CHECK(second.wait(60) == 0);
    CHECK(exists(tree.upper + "/huge"));
}

TEST_CASE("copy-up: what it makes is in the upper with the same content, and the work directory is empty again") {
    Layers tree;
    make_dirs(tree.lower + "/a/b/c");
    for (int i = 0; i < 50; i++)
        write_file(tree.lower + "/a/b/c/f" + std::to_string(i), pattern(10000, static_cast<unsigned>(i)));
    tree.mount();
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (int t = 0; t < 5; t++)
        threads.emplace_back([&, t] {
            for (int i = t; i < 50; i += 5)
                if (int fd = ::open((tree / ("a/b/c/f" + std::to_string(i))).c_str(), O_RDWR | O_CLOEXEC); fd >= 0)
                    ::close(fd);
                else
                    failed++;
        });
    for (std::thread& t : threads) t.join();
    CHECK(failed == 0);
    if (!is_standin()) CHECK(tree.stats()["copyups"] >= 50);
    for (int i = 0; i < 50; i++)
        CHECK(read_file(tree.upper + "/a/b/c/f" + std::to_string(i)) == pattern(10000, static_cast<unsigned>(i)));
    CHECK(leftovers(tree.work) == 0);
}

TEST_CASE("copy-up: append-only and immutable files of a lower are neither emptied, removed nor renamed") {
    need_privilege("inode flags");
    Layers tree;
    for (std::string name : {"append", "append2", "fixed", "fixed2"}) write_file(tree.lower + "/" + name, "precious");
    for (std::string name : {"append", "append2"}) must_run({"chattr", "+a", tree.lower + "/" + name});
    for (std::string name : {"fixed", "fixed2"}) must_run({"chattr", "+i", tree.lower + "/" + name});
    tree.mount();
    for (std::string name : {"append", "fixed"}) {
        CAPTURE(name);
        const std::string path = tree / name;
        FAILS(EPERM, ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
        FAILS(EPERM, ::truncate(path.c_str(), 3));
        FAILS(EPERM, ::unlink(path.c_str()));
        FAILS(EPERM, ::rename(path.c_str(), (tree / "elsewhere").c_str()));
        CHECK(read_file(path) == "precious");
    }
    UniqueFd fd = open_file(tree / "append2", O_WRONLY | O_APPEND);
    OK(::write(fd.get(), "!", 1));
    CHECK(read_file(tree / "append2") == "precious!");
    fd.reset();
    must_run({"chattr", "-a", tree / "append2"});
    // Flags that forbid everything can be taken away, by whoever may.
    CHECK(as_user({}, [&] { return ::execlp("chattr", "chattr", "-i", (tree / "fixed").c_str(), nullptr); }) != 0);
    must_run({"chattr", "+d", tree / "fixed2"});  // as overlayfs has it; the copy is as immutable
    FAILS(EPERM, ::open((tree / "fixed2").c_str(), O_WRONLY | O_CLOEXEC));
    for (std::string name : {"fixed", "fixed2"}) {
        CAPTURE(name);
        must_run({"chattr", "-i", tree / name});
        CHECK(read_file(tree / name) == "precious");
        write_file(tree / name, "changed");
        CHECK(read_file(tree / name) == "changed");
        OK(::unlink((tree / name).c_str()));
    }
    tree.unmount();
    for (std::string name : {"append", "append2"}) must_run({"chattr", "-a", tree.lower + "/" + name});
    for (std::string name : {"fixed", "fixed2"}) must_run({"chattr", "-i", tree.lower + "/" + name});
}

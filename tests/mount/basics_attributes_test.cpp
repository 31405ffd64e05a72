// Modes, owners, times, extended attributes and inode flags, of objects made here and of objects from below.
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

const std::vector<std::string> kObjects{"new", "old", "d", "made"};

// old and d come from below; new and made are made through the mount.
void prepare(Tree& tree) {
    write_file(tree.below() + "/old", "old");
    make_dirs(tree.below() + "/d");
    OK(::symlink("old", (tree.below() + "/link").c_str()));
}
void with_objects(const std::function<void(Tree&)>& test) {
    in_both_modes(prepare, [&](Tree& tree) {
        write_file(tree / "new", "new");
        OK(::mkdir((tree / "made").c_str(), 0755));
        test(tree);
    });
}

}  // namespace

TEST_CASE("chmod and fchmod: every bit, and nothing else changes") {
    with_objects([](Tree& tree) {
        for (const std::string& name : kObjects) {
            CAPTURE(name);
            struct stat before = lstat_of(tree / name);
            UniqueFd fd = open_file(tree / name, O_RDONLY);
            for (mode_t mode : {0u, 07777u, 0640u, 04755u}) {
                OK(::chmod((tree / name).c_str(), mode));
                CHECK((stat_of(tree / name).st_mode & 07777) == mode);
                CHECK((stat_of(fd.get()).st_mode & 07777) == mode);
                OK(::fchmod(fd.get(), mode ^ 0111));
                CHECK((stat_of(tree / name).st_mode & 07777) == (mode ^ 0111));
            }
            struct stat after = lstat_of(tree / name);
            CHECK(after.st_ino == before.st_ino);
            CHECK(after.st_size == before.st_size);
            if (S_ISREG(after.st_mode)) CHECK(ns(after.st_mtim) == ns(before.st_mtim));
            CHECK(ns(after.st_ctim) > ns(before.st_ctim));
        }
    });
}

TEST_CASE("chown: user, group, both, of a symlink itself") {
    with_objects([](Tree& tree) {
        for (std::string name : {"new", "old", "d", "made", "link"}) {
            CAPTURE(name);
            OK(::lchown((tree / name).c_str(), 11, static_cast<gid_t>(-1)));
            CHECK(lstat_of(tree / name).st_uid == 11);
            CHECK(lstat_of(tree / name).st_gid == 0);
            OK(::lchown((tree / name).c_str(), static_cast<uid_t>(-1), 12));
            CHECK(lstat_of(tree / name).st_uid == 11);
            CHECK(lstat_of(tree / name).st_gid == 12);
            OK(::lchown((tree / name).c_str(), 70000, 80000));
            CHECK(lstat_of(tree / name).st_uid == 70000);
            CHECK(lstat_of(tree / name).st_gid == 80000);
        }
        CHECK(read_file(tree / "old") == "old");
    });
}

TEST_CASE("utimens: to the nanosecond, NOW and OMIT, and of a symlink itself") {
    with_objects([](Tree& tree) {
        for (std::string name : {"new", "old", "d", "made", "link"}) {
            CAPTURE(name);
            timespec both[2] = {{1111111111, 123456789}, {1222222222, 987654321}};
            OK(::utimensat(AT_FDCWD, (tree / name).c_str(), both, AT_SYMLINK_NOFOLLOW));
            CHECK(ns(lstat_of(tree / name).st_atim) == 1111111111123456789LL);
            CHECK(ns(lstat_of(tree / name).st_mtim) == 1222222222987654321LL);
            timespec only_m[2] = {{0, UTIME_OMIT}, {1333333333, 5}};
            OK(::utimensat(AT_FDCWD, (tree / name).c_str(), only_m, AT_SYMLINK_NOFOLLOW));
            CHECK(ns(lstat_of(tree / name).st_atim) == 1111111111123456789LL);
            CHECK(ns(lstat_of(tree / name).st_mtim) == 1333333333000000005LL);
            timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
            OK(::utimensat(AT_FDCWD, (tree / name).c_str(), now, AT_SYMLINK_NOFOLLOW));
            CHECK(ns(lstat_of(tree / name).st_atim) > 1700000000000000000LL);
            CHECK(ns(lstat_of(tree / name).st_mtim) == 1333333333000000005LL);
        }
    });
}

TEST_CASE("xattr: set, replace, list, remove, by path and by descriptor") {
    with_objects([](Tree& tree) {
        for (const std::string& name : kObjects) {
            CAPTURE(name);
            const char* path = nullptr;
            std::string held = tree / name;
            path = held.c_str();
            OK(::setxattr(path, "user.one", "1", 1, XATTR_CREATE));
            FAILS(EEXIST, ::setxattr(path, "user.one", "2", 1, XATTR_CREATE));
            OK(::setxattr(path, "user.one", "two", 3, XATTR_REPLACE));
            FAILS(ENODATA, ::setxattr(path, "user.none", "2", 1, XATTR_REPLACE));
            CHECK(get_xattr(held, "user.one") == "two");
            char small[2];
            FAILS(ERANGE, ::getxattr(path, "user.one", small, sizeof small));
            CHECK(::getxattr(path, "user.one", nullptr, 0) == 3);
            FAILS(ENODATA, ::getxattr(path, "user.none", nullptr, 0));
            set_xattr(held, "user.empty", "");
            set_xattr(held, "trusted.t", "secret");
            set_xattr(held, "user.big", pattern(2000));
            auto all = all_xattrs(held);
            CHECK(all["user.empty"].empty());
            CHECK(all["trusted.t"] == "secret");
            CHECK(all["user.big"] == pattern(2000));
            CHECK(all.size() == 4);
            OK(::removexattr(path, "user.one"));
            FAILS(ENODATA, ::removexattr(path, "user.one"));
            UniqueFd fd = open_file(held, O_RDONLY);
            OK(::fsetxattr(fd.get(), "user.fd", "x", 1, 0));
            CHECK(::flistxattr(fd.get(), nullptr, 0) > 0);
            OK(::fremovexattr(fd.get(), "user.fd"));
        }
        FAILS(EPERM, ::lsetxattr((tree / "link").c_str(), "user.x", "1", 1, 0));
        OK(::lsetxattr((tree / "link").c_str(), "trusted.x", "1", 1, 0));
        CHECK(get_xattr(tree / "link", "trusted.x") == "1");
    });
}

TEST_CASE("xattr: trusted names are for root only, and the mark of the union can not be forged") {
    with_objects([](Tree& tree) {
        set_xattr(tree / "new", "trusted.t", "secret");
        OK(::chmod((tree / "new").c_str(), 0666));
        CHECK(as_user({}, [&] {
                  char buffer[64];
                  if (::getxattr((tree / "new").c_str(), "trusted.t", buffer, sizeof buffer) != -1) return 1;
                  return errno == ENODATA ? 0 : errno;
              }) == 0);
        CHECK(as_user({}, [&] {
                  return ::setxattr((tree / "new").c_str(), "trusted.t", "x", 1, 0) == -1 && errno == EPERM ? 0 : 1;
              }) == 0);
        CHECK(as_user({}, [&] {
                  return ::setxattr((tree / "new").c_str(), "user.mine", "x", 1, 0) == 0 ? 0 : errno;
              }) == 0);
    });
}

TEST_CASE("statfs: as the branch that new data goes to, and not empty") {
    in_both_modes([](Tree& tree) {
        struct statvfs v {};
        OK(::statvfs(tree.mnt().c_str(), &v));
        CHECK(v.f_blocks * v.f_frsize > 40u << 20);
        CHECK(v.f_bavail > 0);
        CHECK(v.f_bavail <= v.f_blocks);
        CHECK(v.f_files > 0);
        CHECK(v.f_namemax == 255);
        auto free_before = v.f_bavail * v.f_frsize;
        write_file(tree / "eater", pattern(8 << 20));
        UniqueFd fd = open_file(tree / "eater", O_RDONLY);
        OK(::fsync(fd.get()));
        OK(::statvfs(tree.mnt().c_str(), &v));
        CHECK(v.f_bavail * v.f_frsize <= free_before - (8u << 20));
    });
}

TEST_CASE("statfs: space of layers below does not count, that of a pool's branches does wherever they stand") {
    Scratch scratch;
    LoopFs big("ext4", scratch.path(), "big", 64), small("ext4", scratch.path(), "small", 32);
    auto blocks = [](const std::string& path) {
        struct statvfs v {};
        OK(::statvfs(path.c_str(), &v));
        return v.f_blocks * v.f_frsize;
    };
    const std::string mnt = scratch.dir("mnt");
    {
        small.dir("upper");
        small.dir("work");
        Mount mount("lowerdir=" + big.path() + ",upperdir=" + (small / "upper") + ",workdir=" + (small / "work"), "",
                    mnt);
        CHECK(blocks(mnt) == blocks(small.path()));
    }
    for (const std::string& branches : {big.path() + "=ro:" + small.path(), small.path() + ":" + big.path() + "=ro"}) {
        CAPTURE(branches);
        Mount mount("create=ff", branches, mnt);
        CHECK(blocks(mnt) == blocks(big.path()) + blocks(small.path()));
    }
    Mount mount("ro", big.path() + ":" + small.path(), mnt);
    CHECK(blocks(mnt) == blocks(big.path()) + blocks(small.path()));
}

TEST_CASE("access: the bits of the caller, also for root without any x bit") {
    with_objects([](Tree& tree) {
        OK(::chmod((tree / "old").c_str(), 0640));
        OK(::chown((tree / "old").c_str(), 1000, 2000));
        CHECK(::access((tree / "old").c_str(), R_OK | W_OK) == 0);
        FAILS(EACCES, ::access((tree / "old").c_str(), X_OK));
        auto may = [&](const User& user, int what) {
            return as_user(user, [&] { return ::access((tree / "old").c_str(), what) == 0 ? 0 : errno; });
        };
        CHECK(may({1000, 1, {}}, R_OK | W_OK) == 0);
        CHECK(may({1001, 2000, {}}, R_OK) == 0);
        CHECK(may({1001, 2000, {}}, W_OK) == EACCES);
        CHECK(may({1001, 1, {2000}}, R_OK) == 0);
        CHECK(may({1001, 1, {}}, R_OK) == EACCES);
        CHECK(may({1001, 1, {}}, F_OK) == 0);
    });
}

TEST_CASE("statx: birth time of the branch's file, and everything stat has") {
    // Since 3.18 libfuse hands the kernel's STATX on.
    if (run({plyfs_binary(), "--version"}).out.find("libfuse 3.17") != std::string::npos) skip("libfuse without statx");
    with_objects([](Tree& tree) {
        struct statx on_branch {
        }, seen{};
        if (::statx(AT_FDCWD, (tree.below() + "/old").c_str(), 0, STATX_BTIME, &on_branch) != 0 ||
            !(on_branch.stx_mask & STATX_BTIME))
            skip("the branch has no birth times");
        OK(::statx(AT_FDCWD, (tree / "old").c_str(), 0, STATX_ALL, &seen));
        REQUIRE((seen.stx_mask & STATX_BTIME));
        CHECK(seen.stx_btime.tv_sec == on_branch.stx_btime.tv_sec);
        CHECK(seen.stx_btime.tv_nsec == on_branch.stx_btime.tv_nsec);
        CHECK(seen.stx_size == 3);
        CHECK(seen.stx_nlink == 1);
        OK(::statx(AT_FDCWD, (tree / "new").c_str(), 0, STATX_ALL, &seen));
        CHECK((seen.stx_mask & STATX_BTIME));
    });
}

TEST_CASE("ioctl: inode flags are read and set, and hold") {
    need_privilege("inode flags");
    with_objects([](Tree& tree) {
        for (std::string name : {"new", "old"}) {
            CAPTURE(name);
            UniqueFd fd = open_file(tree / name, O_RDONLY);
            int flags = 0;
            OK(::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags));
            flags |= FS_NOATIME_FL | FS_NODUMP_FL;
            OK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
            int now = 0;
            OK(::ioctl(fd.get(), FS_IOC_GETFLAGS, &now));
            CHECK((now & (FS_NOATIME_FL | FS_NODUMP_FL)) == (FS_NOATIME_FL | FS_NODUMP_FL));
            now |= FS_APPEND_FL;
            OK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &now));
            FAILS(EPERM, ::open((tree / name).c_str(), O_WRONLY | O_CLOEXEC));
            CHECK(try_open(tree / name, O_WRONLY | O_APPEND) == 0);
            now &= ~FS_APPEND_FL;
            OK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &now));
            CHECK(try_open(tree / name, O_WRONLY) == 0);
        }
    });
}

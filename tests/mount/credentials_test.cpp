// Objects belong to who makes them, permissions and ACLs hold, and what a file system reserves stays
// reserved.
#include <linux/capability.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void open_to_all(Tree& tree) {
    OK(::chmod(tree.below().c_str(), 0777));
    if (tree.layered())
        OK(::chmod(static_cast<Layers&>(tree).upper.c_str(), 0777));
    else
        OK(::chmod(static_cast<Pool&>(tree).a.c_str(), 0777));
    make_dirs(tree.below() + "/d");
    OK(::chmod((tree.below() + "/d").c_str(), 0777));
}

int make_each_kind(const std::string& dir, mode_t mask) {
    ::umask(mask);
    int fd = ::open((dir + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0777);
    if (fd < 0) return errno;
    if (::mkdir((dir + "/dir").c_str(), 0777) != 0) return errno;
    if (::mkfifo((dir + "/fifo").c_str(), 0777) != 0) return errno;
    if (::symlink("x", (dir + "/link").c_str()) != 0) return errno;
    if (::mknod((dir + "/node").c_str(), S_IFREG | 0777, 0) != 0) return errno;
    int tmp = ::open(dir.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0777);
    if (tmp < 0) return errno;
    std::string self = "/proc/self/fd/" + std::to_string(tmp);
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (dir + "/tmp").c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

const std::vector<std::string> kKinds{"file", "dir", "fifo", "node", "tmp"};

}  // namespace

TEST_CASE("credentials: no thread of a daemon may do more than serving files takes") {
    in_both_modes(open_to_all, [](Tree& tree) {
        write_file(tree / "d/file", "x");  // so that all threads are there
        const std::string tasks = "/proc/" + std::to_string(tree.mounted().pid()) + "/task";
        int threads = 0;
        for (const std::string& thread : list_dir(tasks)) {
            const std::string status = read_file(tasks + "/" + thread + "/status");
            for (const char* set : {"CapPrm:", "CapBnd:"}) {
                CAPTURE(set);
                const auto caps = std::stoull(status.substr(status.find(set) + 8), nullptr, 16);
                CHECK((caps & (1ULL << CAP_SYS_ADMIN)) != 0);
                for (const int cap : {CAP_SYS_RESOURCE, CAP_SYS_MODULE, CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYS_BOOT}) {
                    CAPTURE(cap);
                    CHECK((caps & (1ULL << cap)) == 0);
                }
            }
            ++threads;
        }
        CHECK(threads > 2);
    });
}

TEST_CASE("credentials: objects are made as the caller, with the caller's umask") {
    in_both_modes(open_to_all, [](Tree& tree) {
        for (mode_t mask : {0u, 027u, 077u}) {
            std::string dir = tree / ("d/" + std::to_string(mask));
            OK(::mkdir(dir.c_str(), 0777));
            OK(::chmod(dir.c_str(), 0777));
            CHECK(as_user({.uid = 1000, .gid = 1001, .groups = {}}, [&] { return make_each_kind(dir, mask); }) == 0);
            for (const std::string& kind : kKinds) {
                CAPTURE(kind);
                struct stat st = lstat_of(dir + "/" + kind);
                CHECK(st.st_uid == 1000);
                CHECK(st.st_gid == 1001);
                CHECK((st.st_mode & 07777) == (0777 & ~mask));
            }
            CHECK(lstat_of(dir + "/link").st_uid == 1000);
        }
    });
}

TEST_CASE("credentials: set-group-id directories hand on their group") {
    in_both_modes(open_to_all, [](Tree& tree) {
        OK(::chown((tree / "d").c_str(), 0, 5000));
        OK(::chmod((tree / "d").c_str(), 02777));
        CHECK(as_user({.uid = 1000, .gid = 1001, .groups = {}}, [&] { return make_each_kind(tree / "d", 0); }) == 0);
        for (const std::string& kind : kKinds) {
            CAPTURE(kind);
            CHECK(lstat_of(tree / ("d/" + kind)).st_gid == 5000);
            CHECK(lstat_of(tree / ("d/" + kind)).st_uid == 1000);
        }
        CHECK((lstat_of(tree / "d/dir").st_mode & 07777) == 02777);
        CHECK((lstat_of(tree / "d/file").st_mode & 07777) == 0777);
    });
}

TEST_CASE("credentials: a default ACL decides instead of the umask, as on the branch") {
    if (!have_tool("setfacl")) skip("setfacl is needed");
    in_both_modes(open_to_all, [](Tree& tree) {
        std::string native =
            (tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a) + "/../native";
        for (const std::string& dir : {native, tree / "d/acl"}) {
            OK(::mkdir(dir.c_str(), 0777));
            OK(::chmod(dir.c_str(), 0777));
            must_run({"setfacl", "-d", "-m", "u::rwx,g::r-x,o::---,u:1234:rw-,m::rwx", dir});
            CHECK(as_user({.uid = 1000, .gid = 1001, .groups = {}}, [&] { return make_each_kind(dir, 077); }) == 0);
        }
        for (const std::string& kind : kKinds) {
            CAPTURE(kind);
            std::string path = tree / ("d/acl/" + kind);
            CHECK((lstat_of(path).st_mode & 07777) == (lstat_of(native + "/" + kind).st_mode & 07777));
            for (std::string acl : {"system.posix_acl_access", "system.posix_acl_default"})
                CHECK(get_xattr(path, acl) == get_xattr(native + "/" + kind, acl));
        }
    });
}

TEST_CASE("credentials: permission bits and supplementary groups are enforced") {
    in_both_modes(
        [](Tree& tree) {
            open_to_all(tree);
            write_file(tree.below() + "/d/f", "x", 0640);
            OK(::chown((tree.below() + "/d/f").c_str(), 2000, 3000));
        },
        [](Tree& tree) {
            auto open_as = [&](const User& user, int flags) {
                return as_user(user, [&] { return try_open(tree / "d/f", flags); });
            };
            CHECK(open_as({1000, 1000, {}}, O_RDONLY) == EACCES);
            CHECK(open_as({1000, 1000, {3000}}, O_RDONLY) == 0);
            CHECK(open_as({1000, 3000, {}}, O_RDONLY) == 0);
            CHECK(open_as({1000, 1000, {3000}}, O_WRONLY) == EACCES);
            CHECK(open_as({2000, 1000, {}}, O_RDWR) == 0);
            auto as_1000 = [&](const std::function<long()>& call) {
                return as_user({1000, 1000, {3000}}, [&] { return err_of(call()); });
            };
            CHECK(as_1000([&] { return ::chmod((tree / "d/f").c_str(), 0777); }) == EPERM);
            CHECK(as_1000([&] { return ::chown((tree / "d/f").c_str(), 1000, 1000); }) == EPERM);
            OK(::chmod((tree / "d").c_str(), 01777));
            CHECK(as_1000([&] { return ::unlink((tree / "d/f").c_str()); }) == EPERM);  // sticky
            OK(::chmod((tree / "d").c_str(), 0755));
            CHECK(as_1000([&] { return ::unlink((tree / "d/f").c_str()); }) == EACCES);
            CHECK(as_1000([&] { return ::mkdir((tree / "d/x").c_str(), 0755); }) == EACCES);
            OK(::chmod((tree / "d").c_str(), 0700));
            CHECK(open_as({2000, 3000, {}}, O_RDONLY) == EACCES);
        });
}

TEST_CASE("credentials: an ACL grants and denies") {
    if (!have_tool("setfacl")) skip("setfacl is needed");
    in_both_modes(
        [](Tree& tree) {
            open_to_all(tree);
            write_file(tree.below() + "/d/f", "x", 0644);
            must_run({"setfacl", "-m", "u:1111:rw-,u:2222:---,g:3333:r--", tree.below() + "/d/f"});
        },
        [](Tree& tree) {
            auto open_as = [&](const User& user, int flags) {
                return as_user(user, [&] { return try_open(tree / "d/f", flags); });
            };
            for (int time : {1, 2}) {
                CAPTURE(time);
                CHECK(open_as({1111, 1, {}}, O_RDWR) == 0);
                CHECK(open_as({2222, 1, {}}, O_RDONLY) == EACCES);
                CHECK(open_as({1000, 3333, {}}, O_RDONLY) == 0);
                CHECK(open_as({1000, 3333, {}}, O_WRONLY) == EACCES);
                CHECK(open_as({1000, 1, {}}, O_RDONLY) == 0);
                // Second time on the copy, and the mask follows chmod.
                OK(::chown((tree / "d/f").c_str(), 7, 7));
            }
            OK(::chmod((tree / "d/f").c_str(), 0614));  // the mask is --x now
            CHECK(open_as({1111, 1, {}}, O_RDONLY) == EACCES);
            must_run({"setfacl", "-b", tree / "d/f"});
            CHECK(open_as({2222, 1, {}}, O_RDONLY) == 0);
        });
}

TEST_CASE("credentials: blocks that ext4 keeps for root are not for others") {
    for (std::string options : {"", "passthrough=off"}) {
        if (is_standin() && !options.empty()) continue;
        CAPTURE(options);
        Layers tree({.upper_mkfs = {"-m", "20"}});
        OK(::chmod(tree.upper.c_str(), 0777));
        tree.mount(options);
        struct statvfs before {};
        OK(::statvfs(tree.upper.c_str(), &before));
        auto reserve = before.f_bfree - before.f_bavail;
        REQUIRE(reserve > 1000);
        CHECK(as_user({}, [&] {
                  int fd = ::open((tree / "filler").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
                  std::string block(1 << 16, 'x');
                  while (::write(fd, block.data(), block.size()) > 0) {
                  }
                  if (errno != ENOSPC) return errno;
                  while (::write(fd, block.data(), 4096) > 0) {
                  }
                  if (errno != ENOSPC) return errno;
                  return ::fallocate(fd, 0, 0, 64 << 20) == -1 && errno == ENOSPC ? 0 : 1;
              }) == 0);
        struct statvfs after {};
        UniqueFd disk = open_file(tree.upper, O_RDONLY);
        OK(::syncfs(disk.get()));
        OK(::statvfs(tree.upper.c_str(), &after));
        CHECK(after.f_bavail < 200);
        CHECK(after.f_bfree >= reserve - 200);  // delayed allocation may take a little for metadata
    }
}

#include "sys/attributes.h"

#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "scratch.h"
#include "sys/open.h"
#include "sys/stat.h"
#include "sys/xattr.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

constexpr timespec kAtime{.tv_sec = 1111111111, .tv_nsec = 123456789};
constexpr timespec kMtime{.tv_sec = 987654321, .tv_nsec = 999999999};

sys::XattrRule carry_all(std::string_view name) {
    if (name == "user.internal") return sys::XattrRule::skip;
    return name.starts_with("user.") ? sys::XattrRule::carry : sys::XattrRule::carry_if_able;
}

UniqueFd path_fd(const std::string& path) {
    return open_or_fail(path, O_PATH | O_NOFOLLOW);
}

std::string xattr_text(const std::string& path, const char* name) {
    char value[256];
    const ssize_t n = ::lgetxattr(path.c_str(), name, value, sizeof value);
    return n < 0 ? "none" : std::string(value, static_cast<std::size_t>(n));
}

void check_same(const std::string& a, const std::string& b) {
    INFO(a << " and " << b);
    const struct stat x = lstat_or_fail(a), y = lstat_or_fail(b);
    CHECK(x.st_mode == y.st_mode);
    CHECK(x.st_uid == y.st_uid);
    CHECK(x.st_gid == y.st_gid);
    CHECK(y.st_atim.tv_sec == kAtime.tv_sec);
    CHECK(y.st_atim.tv_nsec == kAtime.tv_nsec);
    CHECK(y.st_mtim.tv_sec == kMtime.tv_sec);
    CHECK(y.st_mtim.tv_nsec == kMtime.tv_nsec);
    for (const char* name :
         {"user.a", "trusted.b", "security.capability", "system.posix_acl_access", "system.posix_acl_default"}) {
        CHECK(xattr_text(a, name) == xattr_text(b, name));
    }
}

void make_object(const std::string& path, mode_t type) {
    if (type == S_IFDIR) {
        REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    } else if (type == S_IFLNK) {
        REQUIRE(::symlink("nowhere", path.c_str()) == 0);
    } else {
        REQUIRE(::mknod(path.c_str(), type | 0600, type == S_IFCHR ? makedev(1, 3) : 0) == 0);
    }
}

struct AclEntry {
    std::uint16_t tag, perm;
    std::uint32_t id;
};

void set_acl(const std::string& path, const char* name) {
    struct {
        std::uint32_t version = 2;
        AclEntry entries[5] = {{1, 6, ~0u}, {2, 7, 4711}, {4, 4, ~0u}, {16, 5, ~0u}, {32, 1, ~0u}};
    } acl;
    REQUIRE(::setxattr(path.c_str(), name, &acl, sizeof acl, 0) == 0);
}

void set_capability(const std::string& path) {
    const std::uint32_t value[5] = {0x02000001, 1u << 13, 0, 0, 0};  // revision 2, effective, CAP_NET_RAW permitted
    REQUIRE(::setxattr(path.c_str(), "security.capability", value, sizeof value, 0) == 0);
}

void dress(const std::string& path, mode_t type, mode_t mode) {
    auto fd = path_fd(path);
    REQUIRE(sys::set_owner(fd, 1234, 5678));
    if (type == S_IFREG || type == S_IFDIR) {
        REQUIRE(::setxattr(path.c_str(), "user.a", "value", 5, 0) == 0);
        REQUIRE(::setxattr(path.c_str(), "user.internal", "secret", 6, 0) == 0);
    }
    REQUIRE(::lsetxattr(path.c_str(), "trusted.b", "\0x", 2, 0) == 0);
    if (type == S_IFREG) set_capability(path);
    if (type == S_IFDIR) set_acl(path, "system.posix_acl_default");
    if (type != S_IFLNK) {
        if (mode & 010000) set_acl(path, "system.posix_acl_access");
        REQUIRE(sys::set_mode(fd, mode & 07777));
    }
    REQUIRE(sys::set_times(fd, kAtime, kMtime));
}

void check_sort(const std::string& from_dir, const std::string& to_dir, mode_t type, mode_t mode) {
    const std::string name = "/o" + std::to_string(type) + "-" + std::to_string(mode);
    const std::string from = from_dir + name, to = to_dir + name;
    make_object(from, type);
    make_object(to, type);
    dress(from, type, mode);
    auto source = path_fd(from), target = path_fd(to);
    REQUIRE(sys::copy_metadata(source, target, *sys::stat_fd(source), carry_all));
    check_same(from, to);
    CHECK(xattr_text(to, "user.internal") == "none");
}

void check_all_sorts(const std::string& from_dir, const std::string& to_dir) {
    INFO("from " << from_dir << " to " << to_dir);
    // 010000: with an access ACL.
    for (const mode_t mode : {0644, 06777, 02770, 04111, 01777, 0000, 010754, 016751}) {
        for (const mode_t type : {S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR}) {
            check_sort(from_dir, to_dir, type, mode);
        }
    }
    check_sort(from_dir, to_dir, S_IFLNK, 0777);
}

bool skip_without_root() {
    if (is_root()) return false;
    MESSAGE("skipped: not root");
    return true;
}

}  // namespace

TEST_CASE("everything is carried for every sort of object") {
    if (skip_without_root()) return;
    ScratchDir disk, memory("/dev/shm");
    std::filesystem::create_directory(disk / "to");
    check_all_sorts(disk.path(), disk / "to");
    // tmpfs has no user.* attributes before Linux 6.6 and other file systems may lack classes as well.
    if (::setxattr(memory.path().c_str(), "user.a", "x", 1, 0) == 0) {
        std::filesystem::create_directory(memory / "to");
        std::filesystem::create_directory(memory / "from-disk");
        std::filesystem::create_directory(disk / "from-memory");
        std::filesystem::create_directory(disk / "again");
        check_all_sorts(disk / "again", memory / "from-disk");
        check_all_sorts(memory / "to", disk / "from-memory");
    }
    for (const std::string type : {"xfs", "btrfs"}) {
        auto fs = LoopFs::make(disk, type, 400 << 20);
        if (!fs) {
            MESSAGE("skipped: no loop file system of type " << type << " here");
            continue;
        }
        std::filesystem::create_directory(fs->path() + "/to");
        check_all_sorts(fs->path(), fs->path() + "/to");
    }
}

TEST_CASE("an ACL that the target inherited is removed") {
    if (skip_without_root()) return;
    ScratchDir scratch;
    auto plain = open_or_fail(scratch / "plain", O_CREAT | O_RDWR, 0640);
    REQUIRE(::mkdir((scratch / "acl").c_str(), 0777) == 0);
    set_acl(scratch / "acl", "system.posix_acl_default");
    auto target = open_or_fail(scratch / "acl/f", O_CREAT | O_RDWR, 0666);
    REQUIRE(xattr_text(scratch / "acl/f", "system.posix_acl_access") != "none");
    REQUIRE(sys::copy_metadata(plain, target, *sys::stat_fd(plain), carry_all));
    CHECK(xattr_text(scratch / "acl/f", "system.posix_acl_access") == "none");
    const auto inherited = [](const std::string& path) {
        return sys::find_inherited(*sys::open_dir_for_reading(*sys::open_root(path.c_str())));
    };
    CHECK(inherited(scratch / "acl").acls);
    REQUIRE(::mkdir((scratch / "plain dir").c_str(), 0755) == 0);
    CHECK_FALSE(inherited(scratch / "plain dir").acls);
    CHECK_FALSE(inherited(scratch / "plain dir").flags);
    CHECK((lstat_or_fail(scratch / "acl/f").st_mode & 07777) == 0640);
}

TEST_CASE("an attribute that the target can not store fails the copy only if it must arrive") {
    if (skip_without_root()) return;
    ScratchDir scratch;
    auto from = open_or_fail(scratch / "f", O_CREAT | O_RDWR);
    REQUIRE(::fsetxattr(from.get(), "user.a", "x", 1, 0) == 0);
    set_acl(scratch / "f", "system.posix_acl_access");
    // ramfs has no attributes at all.
    const std::string bare = scratch / "bare";
    REQUIRE(::mkdir(bare.c_str(), 0755) == 0);
    if (!own_mount_namespace() || ::mount("none", bare.c_str(), "ramfs", 0, nullptr) != 0) {
        MESSAGE("skipped: no ramfs here");
        return;
    }
    {
        auto to = open_or_fail(bare + "/f", O_CREAT | O_RDWR);
        auto if_able = [](std::string_view) { return sys::XattrRule::carry_if_able; };
        CHECK(sys::copy_metadata(from, to, *sys::stat_fd(from), if_able));
        CHECK(sys::copy_metadata(from, to, *sys::stat_fd(from), carry_all).failed_with(ENOTSUP));
        auto none = [](std::string_view) { return sys::XattrRule::skip; };
        CHECK(sys::copy_metadata(from, to, *sys::stat_fd(from), none));
    }
    ::umount(bare.c_str());
}

TEST_CASE("inode flags are carried, those that protect last and apart") {
    if (skip_without_root()) return;
    ScratchDir scratch;
    for (const std::string type : {"ext4", "xfs", "btrfs"}) {
        auto fs = LoopFs::make(scratch, type, 400 << 20);
        if (!fs) {
            MESSAGE("skipped: no loop file system of type " << type << " here");
            continue;
        }
        auto from = open_or_fail(fs->path() + "/from", O_CREAT | O_RDWR);
        auto to = open_or_fail(fs->path() + "/to", O_CREAT | O_RDWR);
        auto from_path = path_fd(fs->path() + "/from"), to_path = path_fd(fs->path() + "/to");
        const unsigned plain = *sys::get_inode_flags(from);
        const unsigned carried = FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL;
        REQUIRE(sys::set_inode_flags(from_path, plain | carried | FS_APPEND_FL | FS_IMMUTABLE_FL));
        const auto st = *sys::stat_fd(from_path);
        REQUIRE(sys::copy_metadata(from_path, to_path, st, carry_all));
        CHECK((*sys::get_inode_flags(to_path) & (carried | FS_APPEND_FL | FS_IMMUTABLE_FL)) == carried);
        REQUIRE(sys::set_protection_flags(to_path, *sys::get_inode_flags(from_path)));
        CHECK(*sys::get_inode_flags(to) == *sys::get_inode_flags(from));
        CHECK(sys::set_mode(to_path, 0600).failed_with(EPERM));
        REQUIRE(sys::set_inode_flags(to, plain));
        REQUIRE(sys::set_inode_flags(from, plain));
        CHECK(sys::set_protection_flags(to_path, FS_NODUMP_FL));
        CHECK(*sys::get_inode_flags(to) == plain);
    }
}

TEST_CASE("single attributes by descriptor") {
    ScratchDir scratch;
    auto file = open_or_fail(scratch / "f", O_CREAT | O_RDWR);
    REQUIRE(::symlink("f", (scratch / "link").c_str()) == 0);
    auto link = path_fd(scratch / "link");
    CHECK(sys::set_mode(file, 0611));
    CHECK(sys::set_mode(path_fd(scratch / "f"), 0612));
    CHECK((lstat_or_fail(scratch / "f").st_mode & 07777) == 0612);
    CHECK(sys::set_mode(link, 0600).failed_with(EOPNOTSUPP));
    CHECK((lstat_or_fail(scratch / "f").st_mode & 07777) == 0612);
    REQUIRE(sys::set_times(link, kAtime, kMtime));
    CHECK(lstat_or_fail(scratch / "link").st_mtim.tv_nsec == kMtime.tv_nsec);
    CHECK(lstat_or_fail(scratch / "f").st_mtim.tv_sec != kMtime.tv_sec);
    CHECK(sys::set_mode(BorrowedFd(987654), 0600).failed_with(EBADF));
    CHECK(sys::set_owner(link, static_cast<uid_t>(-1), static_cast<gid_t>(-1)));
}

#include "branch/ownership.h"

#include <sys/stat.h>

#include <doctest/doctest.h>

using namespace plyfs;

namespace {

sys::Stat inode(mode_t mode) {
    sys::Stat st = {};
    st.stx_mode = static_cast<std::uint16_t>(mode);
    st.stx_uid = 77;
    st.stx_gid = 78;
    return st;
}

}  // namespace

TEST_CASE("stat override: values are read as engines write them") {
    struct Row {
        const char* value;
        mode_t before, after;
        std::uint32_t major, minor;
    };
    const Row rows[] = {
        {"3:4:0644", S_IFREG | 0755, S_IFREG | 0644, 0, 0},
        {"3:4:0644", S_IFDIR | 0755, S_IFDIR | 0644, 0, 0},
        {"3:4:644:file", S_IFREG | 0755, S_IFREG | 0644, 0, 0},
        {"3:4:4755:file", S_IFREG | 0755, S_IFREG | 04755, 0, 0},
        {"3:4:0100755", S_IFREG | 0600, S_IFREG | 0755, 0, 0},  // with type bits
        {"3:4:1777:dir", S_IFDIR | 0755, S_IFDIR | 01777, 0, 0},
        {"3:4:0600:pipe", S_IFREG | 0644, S_IFIFO | 0600, 0, 0},
        {"3:4:0600:socket", S_IFREG | 0644, S_IFSOCK | 0600, 0, 0},
        {"3:4:0777:symlink", S_IFREG | 0644, S_IFLNK | 0777, 0, 0},
        {"3:4:0660:block-8-17", S_IFREG | 0644, S_IFBLK | 0660, 8, 17},
        {"3:4:0666:char-1-3", S_IFREG | 0644, S_IFCHR | 0666, 1, 3},
        {"3:4:0666:char1:3", S_IFREG | 0644, S_IFCHR | 0666, 1, 3},
        {"3:4:0666:char:1:3", S_IFREG | 0644, S_IFCHR | 0666, 1, 3},
        {"3:4:0666:char-1-3-later", S_IFREG | 0644, S_IFCHR | 0666, 1, 3},
    };
    for (const Row& row : rows) {
        CAPTURE(row.value);
        auto st = inode(row.before);
        CHECK(apply_stored_stat(row.value, st));
        CHECK(st.stx_uid == 3);
        CHECK(st.stx_gid == 4);
        CHECK(st.stx_mode == row.after);
        CHECK(st.stx_rdev_major == row.major);
        CHECK(st.stx_rdev_minor == row.minor);
    }
}

TEST_CASE("stat override: what is not understood lets nobody in but root") {
    for (const char* value : {"", "3", "3:4", "3:4:", "3:4:9", "a:b:c", "-1:4:0644", "3:4:0644:door", "3:4:0644:char",
                              "3:4:0644:char-1", "3:4:0644:char-0-0", "3:4:0644:dir", "99999999999:4:0644"}) {
        CAPTURE(value);
        auto st = inode(S_IFREG | 0777);
        CHECK_FALSE(apply_stored_stat(value, st));
        CHECK(st.stx_uid == 0);
        CHECK(st.stx_mode == S_IFREG);
    }
    auto dir = inode(S_IFDIR | 0777);
    CHECK_FALSE(apply_stored_stat("3:4:0644:file", dir));
    CHECK(dir.stx_mode == S_IFDIR);
}

TEST_CASE("stat override: values are written as containers-storage does") {
    struct Row {
        mode_t mode;
        std::uint32_t major, minor;
        const char* value;
    };
    const Row rows[] = {
        {S_IFREG | 0644, 0, 0, "77:78:0644:file"},     {S_IFDIR | 0755, 0, 0, "77:78:0755:dir"},
        {S_IFLNK | 0777, 0, 0, "77:78:0777:symlink"},  {S_IFIFO | 0666, 0, 0, "77:78:0666:pipe"},
        {S_IFSOCK | 0700, 0, 0, "77:78:0700:socket"},  {S_IFBLK | 0600, 8, 0, "77:78:0600:block-8-0"},
        {S_IFCHR | 0600, 1, 3, "77:78:0600:char-1-3"}, {S_IFREG | 04755, 0, 0, "77:78:4755:file"},
        {S_IFDIR | 01777, 0, 0, "77:78:1777:dir"},     {S_IFREG, 0, 0, "77:78:0000:file"},
    };
    for (const Row& row : rows) {
        auto st = inode(row.mode);
        st.stx_rdev_major = row.major;
        st.stx_rdev_minor = row.minor;
        CHECK(format_stored_stat(st) == row.value);
        auto back = inode(S_ISDIR(row.mode) ? S_IFDIR : S_IFREG);
        CHECK(apply_stored_stat(row.value, back));
        CHECK(back.stx_mode == row.mode);
        CHECK(back.stx_rdev_minor == row.minor);
    }
}

TEST_CASE("stat override: inodes get what the daemon needs and never setuid") {
    CHECK(inode_permissions(inode(S_IFDIR | 0000)) == 0755);
    CHECK(inode_permissions(inode(S_IFREG | 0000)) == 0644);
    CHECK(inode_permissions(inode(S_IFREG | 06711)) == 0755);
    CHECK(inode_permissions(inode(S_IFCHR | 0777)) == 0644);
}

TEST_CASE("stat override: names of attributes") {
    using Name = std::optional<std::string>;
    const Ownership containers(StatScheme::containers);
    const std::string escape = "user.containers.override_";
    for (const char* name : {"security.capability", "security.selinux", "user.containers.override_stat"}) {
        CHECK(containers.stored_xattr(name) == Name(escape + name));
        CHECK(containers.seen_xattr(escape + name) == Name(name));
    }
    for (const char* name : {"user.x", "system.posix_acl_access", "trusted.x", "user.containers.other"}) {
        CHECK(containers.stored_xattr(name) == Name(name));
        CHECK(containers.seen_xattr(name) == Name(name));
    }
    CHECK_FALSE(containers.seen_xattr("user.containers.override_stat"));
    CHECK_FALSE(containers.seen_xattr("security.selinux"));  // of the inode, which is the daemon's

    for (auto scheme : {StatScheme::privileged, StatScheme::user}) {
        const Ownership other(scheme);
        CHECK_FALSE(other.stored_xattr(other.xattr()));
        CHECK_FALSE(other.seen_xattr(other.xattr()));
        CHECK(other.stored_xattr("security.capability") == Name("security.capability"));
    }
    const Ownership plain;
    CHECK(plain.stored_xattr("user.containers.override_stat") == Name("user.containers.override_stat"));
    CHECK(plain.seen_xattr("security.fuseoverlayfs.override_stat") == Name("security.fuseoverlayfs.override_stat"));
}

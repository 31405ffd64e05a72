#include "sys/xattr.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <thread>

#include "scratch.h"
#include "sys/inode_ioctl.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_by_descriptor(BorrowedFd fd, const char* name) {
    REQUIRE(sys::set_xattr(fd, name, bytes_of("value")));
    std::byte buffer[16];
    CHECK(*sys::get_xattr(fd, name, buffer) == 5);
    CHECK(*sys::get_xattr(fd, name, {}) == 5);
    CHECK(sys::get_xattr(fd, name, std::span(buffer).first(2)).failed_with(ERANGE));
    CHECK(text_of(*sys::get_xattr_all(fd, name)) == "value");
    CHECK(sys::set_xattr(fd, name, bytes_of("x"), XATTR_CREATE).failed_with(EEXIST));
    auto names = *sys::list_xattr(fd);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
    CHECK(sys::remove_xattr(fd, name));
    CHECK(sys::remove_xattr(fd, name).failed_with(ENODATA));
    CHECK(sys::get_xattr(fd, name, buffer).failed_with(ENODATA));
    CHECK(sys::set_xattr(fd, name, bytes_of("x"), XATTR_REPLACE).failed_with(ENODATA));
}

}  // namespace

TEST_CASE("attributes of real and O_PATH descriptors") {
    ScratchDir scratch;
    auto real = open_or_fail(scratch / "f", O_CREAT | O_RDWR);
    auto path = open_or_fail(scratch / "f", O_PATH);
    auto dir = open_or_fail(scratch.path(), O_PATH | O_DIRECTORY);
    for (BorrowedFd fd : {BorrowedFd(real), BorrowedFd(path), BorrowedFd(dir)}) check_by_descriptor(fd, "user.t");
    CHECK(sys::get_xattr(BorrowedFd(987654), "user.t", {}).failed_with(EBADF));
    const std::string large(3000, 'x');
    REQUIRE(sys::set_xattr(path, "user.large", bytes_of(large)));
    CHECK(text_of(*sys::get_xattr_all(path, "user.large")) == large);
    REQUIRE(::unlink((scratch / "f").c_str()) == 0);
    CHECK(text_of(*sys::get_xattr_all(path, "user.large")) == large);
}

TEST_CASE("an O_PATH descriptor of a symlink stands for the symlink") {
    ScratchDir scratch;
    auto target = open_or_fail(scratch / "target", O_CREAT | O_RDWR);
    REQUIRE(::symlink("target", (scratch / "link").c_str()) == 0);
    auto link = open_or_fail(scratch / "link", O_PATH | O_NOFOLLOW);
    // user.* is for files and directories only: the refusal shows that it was not the target.
    CHECK(sys::set_xattr(link, "user.t", bytes_of("x")).failed_with(EPERM));
    if (is_root()) check_by_descriptor(link, "trusted.plyfs-test");
}

namespace {

void check_entries() {
    ScratchDir scratch;
    auto file = open_or_fail(scratch / "f", O_CREAT | O_RDWR);
    REQUIRE(::symlink("f", (scratch / "link").c_str()) == 0);
    auto dir = open_or_fail(scratch.path(), O_PATH | O_DIRECTORY);
    REQUIRE(sys::set_xattr_at(dir, "f", "user.a", bytes_of("one")));
    std::byte buffer[8];
    CHECK(*sys::get_xattr_at(dir, "f", "user.a", buffer) == 3);
    CHECK(sys::get_xattr_at(dir, "link", "user.a", buffer).has_value() == false);
    CHECK(sys::get_xattr_at(dir, "none", "user.a", buffer).failed_with(ENOENT));
    CHECK(sys::set_xattr_at(dir, "f", "user.a", bytes_of("x"), XATTR_CREATE).failed_with(EEXIST));
    char names[256];
    CHECK(std::string(names, *sys::list_xattr_raw_at(dir, "f", names)).find("user.a") != std::string::npos);
    CHECK(sys::remove_xattr_at(dir, "f", "user.a"));
    CHECK(sys::get_xattr(file, "user.a", buffer).failed_with(ENODATA));
}

// From here on this thread is on a kernel without the *xattrat calls.
bool forget_xattrat() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 463, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 466, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter = {.len = std::size(program), .filter = program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

TEST_CASE("attributes of a directory's entry, symlinks not followed") {
    check_entries();
}

TEST_CASE("attributes of a directory's entry on kernels without xattrat") {
    std::thread([] {
        REQUIRE(forget_xattrat());
        check_entries();
    }).join();
}

TEST_CASE("a file system without attributes has an empty list") {
    auto proc = open_or_fail("/proc/self/status", O_RDONLY);
    CHECK(sys::list_xattr(proc)->empty());
}

TEST_CASE("inode flags by ioctl") {
    ScratchDir scratch;
    auto fs = LoopFs::make(scratch, "ext4", 16 << 20);
    if (!fs) {
        MESSAGE("skipped: no loop ext4 here");
        return;
    }
    auto fd = open_or_fail(fs->path() + "/f", O_CREAT | O_RDWR);
    const unsigned before = *sys::ioctl_get_flags(fd);
    CHECK((before & FS_NODUMP_FL) == 0);
    REQUIRE(sys::ioctl_set_flags(fd, before | FS_NODUMP_FL));
    CHECK(*sys::ioctl_get_flags(fd) == (before | FS_NODUMP_FL));
    auto attr = sys::ioctl_get_fsxattr(fd);
    REQUIRE(attr);
    CHECK((attr->fsx_xflags & FS_XFLAG_NODUMP) != 0);
    attr->fsx_xflags &= ~static_cast<unsigned>(FS_XFLAG_NODUMP);
    REQUIRE(sys::ioctl_set_fsxattr(fd, *attr));
    CHECK(*sys::ioctl_get_flags(fd) == before);
    auto path = open_or_fail(fs->path() + "/f", O_PATH);
    CHECK(sys::ioctl_get_flags(path).failed_with(EBADF));
}

#include "sys/copy_data.h"

#include <chrono>
#include <vector>

#include "scratch.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

constexpr off_t kMiB = 1 << 20;

struct Extent {
    off_t at;
    std::size_t size;
};

std::string pattern(off_t at, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>(1 + (static_cast<std::size_t>(at) + i) * 2654435761u % 251);
    }
    return bytes;
}

UniqueFd make_file(const std::string& path, off_t size, const std::vector<Extent>& extents) {
    auto fd = open_or_fail(path, O_CREAT | O_RDWR | O_TRUNC);
    for (const Extent& e : extents) {
        const std::string bytes = pattern(e.at, e.size);
        REQUIRE(::pwrite(fd.get(), bytes.data(), bytes.size(), e.at) == static_cast<ssize_t>(e.size));
    }
    REQUIRE(::ftruncate(fd.get(), size) == 0);
    return fd;
}

std::string read_at(BorrowedFd fd, off_t at, std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t n = ::pread(fd.get(), bytes.data(), size, at);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
}

struct stat stat_of(BorrowedFd fd) {
    struct stat st = {};
    REQUIRE(::fstat(fd.get(), &st) == 0);
    return st;
}

void check_copy(const std::string& from_dir, const std::string& to_dir) {
    INFO("from " << from_dir << " to " << to_dir);
    const off_t size = 40 * kMiB + 123;
    const std::vector<Extent> extents = {{0, 5}, {8 * kMiB, 3 << 20}, {20 * kMiB + 17, 70000}, {size - 1, 1}};
    auto from = make_file(from_dir + "/holes", size, extents);
    auto to = open_or_fail(to_dir + "/copy", O_CREAT | O_RDWR | O_TRUNC);
    REQUIRE(sys::copy_data(from, to, static_cast<std::uint64_t>(size), {}));
    CHECK(stat_of(to).st_size == size);
    CHECK(stat_of(to).st_blocks * 512 < 5 * kMiB);
    for (const Extent& e : extents) CHECK(read_at(to, e.at, e.size) == pattern(e.at, e.size));
    CHECK(read_at(to, 5, 100000) == std::string(100000, '\0'));
    CHECK(read_at(to, 12 * kMiB, 100000) == std::string(100000, '\0'));

    auto hole_last = make_file(from_dir + "/tail", 3 * kMiB, {{0, 4096}});
    auto tail = open_or_fail(to_dir + "/tail-copy", O_CREAT | O_RDWR | O_TRUNC);
    REQUIRE(sys::copy_data(hole_last, tail, 3 << 20, {}));
    CHECK(stat_of(tail).st_size == 3 * kMiB);
    CHECK(read_at(tail, 0, 4096) == pattern(0, 4096));
}

void check_quick_sparse(const std::string& from_dir, const std::string& to_dir) {
    INFO("from " << from_dir << " to " << to_dir);
    const off_t size = off_t{10} << 30;
    auto from = make_file(from_dir + "/sparse", size, {{off_t{5} << 30, 1 << 20}});
    auto to = open_or_fail(to_dir + "/sparse-copy", O_CREAT | O_RDWR | O_TRUNC);
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(sys::copy_data(from, to, static_cast<std::uint64_t>(size), {}));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
    CHECK(stat_of(to).st_size == size);
    CHECK(stat_of(to).st_blocks * 512 <= 2 * kMiB);
    CHECK(read_at(to, off_t{5} << 30, 1 << 20) == pattern(off_t{5} << 30, 1 << 20));
}

void check_all(const std::string& from_dir, const std::string& to_dir) {
    check_copy(from_dir, to_dir);
    check_quick_sparse(from_dir, to_dir);
}

}  // namespace

TEST_CASE("copies keep bytes and holes, on the temporary directory's file system and tmpfs") {
    ScratchDir disk, memory("/dev/shm");
    std::filesystem::create_directory(disk / "to");
    std::filesystem::create_directory(memory / "to");
    check_all(disk.path(), disk / "to");
    check_all(memory.path(), memory / "to");
    check_all(memory.path(), disk.path());
    check_all(disk.path(), memory.path());
}

TEST_CASE("copies keep bytes and holes on loop file systems, with reflink where there is one") {
    ScratchDir scratch, memory("/dev/shm");
    for (const std::string type : {"ext4", "xfs", "btrfs"}) {
        auto fs = LoopFs::make(scratch, type, 400 * kMiB);
        if (!fs) {
            MESSAGE("skipped: no loop file system of type " << type << " here");
            continue;
        }
        std::filesystem::create_directory(fs->path() + "/to");
        check_all(fs->path(), fs->path() + "/to");
        check_all(fs->path(), memory.path());
        check_all(memory.path(), fs->path());
    }
}

TEST_CASE("a reflink shares the bytes and takes no space") {
    ScratchDir scratch;
    auto fs = LoopFs::make(scratch, "btrfs", 400 * kMiB);
    if (!fs) {
        MESSAGE("skipped: no loop btrfs here");
        return;
    }
    // 300 MiB twice do not fit in 400 MiB.
    auto from = make_file(fs->path() + "/big", 250 * kMiB, {{0, 250u << 20}});
    auto to = open_or_fail(fs->path() + "/clone", O_CREAT | O_RDWR);
    REQUIRE(sys::copy_data(from, to, 250u << 20, {}));
    CHECK(read_at(to, 249 * kMiB, 4096) == pattern(249 * kMiB, 4096));
    auto part = open_or_fail(fs->path() + "/part", O_CREAT | O_RDWR);
    REQUIRE(sys::copy_data(from, part, 1000, {}));
    CHECK(stat_of(part).st_size == 1000);
}

TEST_CASE("an empty file is copied without touching anything") {
    ScratchDir scratch;
    auto from = make_file(scratch / "a", 0, {});
    auto to = open_or_fail(scratch / "b", O_CREAT | O_RDWR);
    CHECK(sys::copy_data(from, to, 0, {}));
    CHECK(stat_of(to).st_size == 0);
}

TEST_CASE("a cancelled copy ends with EINTR, at the start and in the middle") {
    ScratchDir disk, memory("/dev/shm");
    for (const std::string& target : {disk.path(), memory.path()}) {
        auto from = make_file(memory / "a", 64 * kMiB, {{0, 64u << 20}});
        auto to = open_or_fail(target + "/b", O_CREAT | O_RDWR | O_TRUNC);
        CHECK(sys::copy_data(from, to, 64u << 20, [] { return true; }).failed_with(EINTR));
        CHECK(stat_of(to).st_size == 0);
        int asked = 0;
        CHECK(sys::copy_data(from, to, 64u << 20, [&] { return ++asked == 3; }).failed_with(EINTR));
        CHECK(asked == 3);
        CHECK(stat_of(to).st_size > 0);
        CHECK(stat_of(to).st_size <= 16 * kMiB);
        asked = 0;
        REQUIRE(sys::copy_data(from, to, 64u << 20, [&] { return ++asked < 0; }));
        CHECK(asked >= 9);
    }
}

TEST_CASE("a source that is shorter or longer than was said") {
    ScratchDir disk, memory("/dev/shm");
    for (const std::string& target : {disk.path(), memory.path()}) {
        auto from = make_file(disk / "a", 100000, {{0, 100000}});
        auto to = open_or_fail(target + "/b", O_CREAT | O_RDWR | O_TRUNC);
        REQUIRE(sys::copy_data(from, to, 5u << 20, {}));
        CHECK(stat_of(to).st_size == 100000);
        CHECK(read_at(to, 0, 200000) == pattern(0, 100000));
        auto less = open_or_fail(target + "/c", O_CREAT | O_RDWR | O_TRUNC);
        REQUIRE(sys::copy_data(from, less, 777, {}));
        CHECK(read_at(less, 0, 200000) == pattern(0, 777));
        // Shrunk, and what is left ends in a hole.
        auto holes = make_file(disk / "h", 2 * kMiB, {{0, 4096}});
        auto shorter = open_or_fail(target + "/d", O_CREAT | O_RDWR | O_TRUNC);
        REQUIRE(sys::copy_data(holes, shorter, 9u << 20, {}));
        CHECK(stat_of(shorter).st_size == 2 * kMiB);
    }
}

TEST_CASE("a file that shrinks while it is copied") {
    ScratchDir disk, memory("/dev/shm");
    for (const std::string& target : {disk.path(), memory.path()}) {
        auto from = make_file(disk / "a", 64 * kMiB, {{0, 64u << 20}});
        auto to = open_or_fail(target + "/b", O_CREAT | O_RDWR | O_TRUNC);
        int asked = 0;
        auto shrink = [&] {
            if (++asked == 3) REQUIRE(::ftruncate(from.get(), 30 * kMiB + 1) == 0);
            return false;
        };
        REQUIRE(sys::copy_data(from, to, 64u << 20, shrink));
        CHECK(stat_of(to).st_size == 30 * kMiB + 1);
        CHECK(read_at(to, 30 * kMiB, 4096) == pattern(30 * kMiB, 1));
    }
}

TEST_CASE("a file that the kernel can not copy by itself is read") {
    // procfs reports length 0 and has no copy_file_range; reading gives the bytes.
    ScratchDir scratch;
    auto from = open_or_fail("/proc/filesystems", O_RDONLY);
    auto to = open_or_fail(scratch / "b", O_CREAT | O_RDWR);
    REQUIRE(sys::copy_data(from, to, 1u << 20, {}));
    auto again = open_or_fail("/proc/filesystems", O_RDONLY);
    CHECK(read_at(to, 0, 100000) == read_at(again, 0, 100000));
    CHECK(stat_of(to).st_size > 0);
}

TEST_CASE("errors of the target pass through") {
    ScratchDir scratch;
    auto from = make_file(scratch / "a", 10000, {{0, 10000}});
    auto read_only = open_or_fail(scratch / "a", O_RDONLY);
    CHECK(sys::copy_data(from, read_only, 10000, {}).failed_with(EBADF));
    auto fs = LoopFs::make(scratch, "ext4", 16 * kMiB);
    if (!fs) {
        MESSAGE("skipped: no loop ext4 here");
        return;
    }
    auto big = make_file(scratch / "big", 64 * kMiB, {{0, 64u << 20}});
    auto to = open_or_fail(fs->path() + "/b", O_CREAT | O_RDWR);
    CHECK(sys::copy_data(big, to, 64u << 20, {}).failed_with(ENOSPC));
}

// Content: truncation, holes, preallocation, copies, synchronisation.
#include <linux/falloc.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void with_file_below(Tree& tree) {
    write_file(tree.below() + "/old", pattern(100000, 7));
    UniqueFd holes = open_file(tree.below() + "/holes", O_CREAT | O_RDWR);
    write_fd(holes.get(), pattern(4096, 8), 0);
    write_fd(holes.get(), pattern(4096, 9), 1 << 20);
    OK(::ftruncate(holes.get(), 4 << 20));
}

// Both a file made here and one from below.
void with_files(const std::function<void(Tree&, const std::string& path, const std::string& content)>& test) {
    in_both_modes(with_file_below, [&](Tree& tree) {
        write_file(tree / "new", pattern(100000, 7));
        for (std::string name : {"new", "old"}) {
            CAPTURE(name);
            test(tree, tree / name, pattern(100000, 7));
        }
    });
}

}  // namespace

TEST_CASE("truncate: shorter, longer, to nothing, by path, by descriptor and on open") {
    with_files([](Tree&, const std::string& path, const std::string& content) {
        OK(::truncate(path.c_str(), 50001));
        CHECK(read_file(path) == content.substr(0, 50001));
        UniqueFd fd = open_file(path, O_RDWR);
        OK(::ftruncate(fd.get(), 60000));
        CHECK(stat_of(path).st_size == 60000);
        CHECK(read_file(path) == content.substr(0, 50001) + std::string(9999, '\0'));
        UniqueFd again = open_file(path, O_RDWR | O_TRUNC);
        CHECK(stat_of(path).st_size == 0);
        CHECK(read_fd(fd.get()).empty());
        write_fd(fd.get(), "x", 9);
        CHECK(read_fd(again.get()) == std::string(9, '\0') + "x");
        UniqueFd reader = open_file(path, O_RDONLY);
        FAILS(EINVAL, ::ftruncate(reader.get(), 0));
        FAILS(EINVAL, ::truncate(path.c_str(), -1));
    });
}

TEST_CASE("truncate: sets mtime and ctime, and a write does as well") {
    with_files([](Tree&, const std::string& path, const std::string&) {
        timespec past[2] = {{1000, 0}, {1000, 0}};
        OK(::utimensat(AT_FDCWD, path.c_str(), past, 0));
        CHECK(stat_of(path).st_mtim.tv_sec == 1000);
        OK(::truncate(path.c_str(), 10));
        CHECK(stat_of(path).st_mtim.tv_sec > 1700000000);
        OK(::utimensat(AT_FDCWD, path.c_str(), past, 0));
        UniqueFd fd = open_file(path, O_WRONLY);
        CHECK(stat_of(path).st_mtim.tv_sec == 1000);
        write_fd(fd.get(), "x", 0);
        CHECK(stat_of(path).st_mtim.tv_sec > 1700000000);
    });
}

TEST_CASE("fallocate: reserve, keep size, punch, zero") {
    need_privilege("ext4");
    with_files([](Tree&, const std::string& path, const std::string& content) {
        UniqueFd fd = open_file(path, O_RDWR);
        OK(::fallocate(fd.get(), 0, 0, 200000));
        CHECK(stat_of(path).st_size == 200000);
        OK(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
        CHECK(stat_of(path).st_size == 200000);
        CHECK(stat_of(path).st_blocks * 512 >= 1 << 20);
        OK(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
        std::string wanted = content;
        wanted.replace(4096, 8192, std::string(8192, '\0'));
        CHECK(read_file(path).substr(0, 100000) == wanted);
        OK(::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 0, 4096));
        CHECK(read_file(path).substr(0, 12288) == std::string(12288, '\0'));
        UniqueFd reader = open_file(path, O_RDONLY);
        FAILS(EBADF, ::fallocate(reader.get(), 0, 0, 1 << 21));
    });
}

TEST_CASE("lseek: SEEK_DATA and SEEK_HOLE see the holes of the branch") {
    in_both_modes(with_file_below, [](Tree& tree) {
        UniqueFd fd = open_file(tree / "holes", O_RDONLY);
        CHECK(OK(::lseek(fd.get(), 0, SEEK_DATA)) == 0);
        CHECK(OK(::lseek(fd.get(), 0, SEEK_HOLE)) == 4096);
        CHECK(OK(::lseek(fd.get(), 4096, SEEK_DATA)) == 1 << 20);
        CHECK(OK(::lseek(fd.get(), 1 << 20, SEEK_HOLE)) == (1 << 20) + 4096);
        FAILS(ENXIO, ::lseek(fd.get(), 2 << 20, SEEK_DATA));
        CHECK(OK(::lseek(fd.get(), 0, SEEK_END)) == 4 << 20);
    });
}

TEST_CASE("copy_file_range: within the mount, from below to new and onto a file from below") {
    in_both_modes(with_file_below, [](Tree& tree) {
        Counter count(tree.mnt());
        UniqueFd from = open_file(tree / "old", O_RDONLY);
        for (std::string name : {"target", "holes"}) {
            CAPTURE(name);
            UniqueFd to = open_file(tree / name, O_RDWR | O_CREAT | O_TRUNC);
            off_t in = 0, out = 10;
            while (in < 100000) REQUIRE(OK(::copy_file_range(from.get(), &in, to.get(), &out, 100000, 0)) > 0);
            CHECK(read_fd(to.get()) == std::string(10, '\0') + pattern(100000, 7));
            CHECK(stat_of(to.get()).st_size == 100010);
        }
        UniqueFd self = open_file(tree / "target", O_RDWR);
        off_t in = 10, out = 200000;
        CHECK(OK(::copy_file_range(self.get(), &in, self.get(), &out, 1000, 0)) == 1000);
        CHECK(stat_of(self.get()).st_size == 201000);
        CHECK(count.served() == 0);
    });
}

TEST_CASE("fsync: of files, of directories, new and from below") {
    in_both_modes(with_file_below, [](Tree& tree) {
        write_file(tree / "new", "x");
        for (std::string name : {"new", "old", "."}) {
            UniqueFd fd = open_file(tree / name, O_RDONLY);
            CHECK(::fsync(fd.get()) == 0);
            CHECK(::fdatasync(fd.get()) == 0);
        }
        UniqueFd fd = open_file(tree / "old", O_RDWR);
        write_fd(fd.get(), "y", 0);
        CHECK(::fsync(fd.get()) == 0);
        CHECK(::syncfs(fd.get()) == 0);
    });
}

TEST_CASE("write: a file system that is full says ENOSPC, and goes on when there is room again") {
    in_both_modes([](Tree& tree) {
        Counter count(tree.mnt());
        UniqueFd fd = open_file(tree / "filler", O_CREAT | O_WRONLY);
        std::string block = pattern(1 << 20);
        ssize_t n = 0;
        off_t at = 0;
        while ((n = ::pwrite(fd.get(), block.data(), block.size(), at)) > 0) at += n;
        CHECK(errno == ENOSPC);
        CHECK(at > 30 << 20);
        CHECK(stat_of(fd.get()).st_size == at);
        OK(::unlink((tree / "filler").c_str()));
        fd.reset();
        UniqueFd after = open_file(tree / "after", O_CREAT | O_RDWR);
        // The last RELEASE, which frees the space, comes a little after close.
        CHECK(eventually([&] { return ::pwrite(after.get(), block.data(), block.size(), 0) == 1 << 20; }));
        CHECK(read_fd(after.get()) == block);
        CHECK(count.served() == 0);
    });
}

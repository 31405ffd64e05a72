// What a descriptor that was opened before a copy-up reads afterwards, with either value of copyup-readers: never a
// mixture of the two files, whatever becomes of the page cache in between.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kOld = 10000;
constexpr std::size_t kNew = 23000;

void rewrite(const std::string& path, std::string_view content) {
    const auto fd = open_file(path, O_WRONLY | O_TRUNC);
    write_fd(fd.get(), content, 0);
}

}  // namespace

TEST_CASE("readers: follow, an old descriptor reads what is written to the copy") {
    Layers tree;
    for (std::string name : {"longer", "shorter", "inside", "mapped"})
        write_file(tree.lower2 + "/" + name, pattern(kOld));
    tree.mount("copyup-readers=follow");
    for (std::string name : {"longer", "shorter", "inside", "mapped"}) {
        CAPTURE(name);
        const std::string path = tree / name;
        const auto reader = open_file(path, O_RDONLY);
        CHECK(read_fd(reader.get()) == pattern(kOld));
        void* map = ::mmap(nullptr, kOld, PROT_READ, MAP_SHARED, reader.get(), 0);
        REQUIRE(map != MAP_FAILED);
        CHECK(std::string_view(static_cast<char*>(map), kOld) == pattern(kOld));
        std::string expected = pattern(kNew, 2);
        if (name == "shorter") expected = pattern(100, 3);
        if (name == "longer" || name == "shorter") rewrite(path, expected);
        if (name == "inside" || name == "mapped") {
            expected = pattern(kOld);
            expected.replace(5000, 4, "EDIT");
            write_fd(open_file(path, O_RDWR).get(), "EDIT", 5000);
        }
        // The pages that the reader brought in are given back, and read again.
        ::posix_fadvise(reader.get(), 0, 0, POSIX_FADV_DONTNEED);
        CHECK(read_fd(reader.get()) == expected);
        CHECK(read_file(path) == expected);
        if (name == "mapped") CHECK(std::string_view(static_cast<char*>(map), kOld) == expected);
        ::munmap(map, kOld);
    }
}

TEST_CASE("readers: follow, copies and new files are read by the kernel all the same") {
    Layers tree;
    write_file(tree.lower2 + "/f", pattern(kOld));
    tree.mount("copyup-readers=follow");
    rewrite(tree / "f", pattern(kNew, 2));
    write_file(tree / "new", pattern(kNew, 3));
    const Counter count(tree.mnt());
    CHECK(read_file(tree / "f") == pattern(kNew, 2));
    CHECK(read_file(tree / "new") == pattern(kNew, 3));
    CHECK(count.served() == 0);
}

TEST_CASE("readers: snapshot, an old descriptor goes on reading the original, also after its pages went") {
    Layers tree;
    write_file(tree.lower2 + "/f", pattern(kOld));
    tree.mount("copyup-readers=snapshot");
    const auto reader = open_file(tree / "f", O_RDONLY);
    CHECK(read_fd(reader.get()) == pattern(kOld));
    rewrite(tree / "f", pattern(kNew, 2));
    ::posix_fadvise(reader.get(), 0, 0, POSIX_FADV_DONTNEED);
    CHECK(read_fd(reader.get()) == pattern(kOld));
    CHECK(read_file(tree / "f") == pattern(kNew, 2));
    CHECK(read_file(tree.upper + "/f") == pattern(kNew, 2));
}

TEST_CASE("readers: snapshot, an old descriptor has the original's size, so that all of it can be mapped") {
    for (const std::size_t size : {kNew, std::size_t{100}}) {
        Layers tree;
        write_file(tree.lower2 + "/f", pattern(kOld));
        tree.mount("copyup-readers=snapshot");
        const auto reader = open_file(tree / "f", O_RDONLY);
        rewrite(tree / "f", pattern(size, 2));
        for (int i = 0; i < 2; ++i) {
            struct stat st;
            OK(::fstat(reader.get(), &st));
            CHECK(st.st_size == kOld);
            CHECK(::lseek(reader.get(), 0, SEEK_END) == kOld);
            CHECK(read_fd(reader.get()) == pattern(kOld));
            OK(::fchmod(reader.get(), 0600));  // which has the kernel ask anew
        }
        CHECK(stat_of(tree / "f").st_size == static_cast<off_t>(size));
    }
}

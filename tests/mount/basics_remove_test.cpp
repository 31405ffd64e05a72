// Taking names away, and what is left of a file that is still open.
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void with_things_below(Tree& tree) {
    make_dirs(tree.below() + "/d/empty");
    write_file(tree.below() + "/d/old", "old content");
    OK(::link((tree.below() + "/d/old").c_str(), (tree.below() + "/d/other").c_str()));
    OK(::symlink("old", (tree.below() + "/d/link").c_str()));
}

}  // namespace

TEST_CASE("unlink: gone, and stays gone after a new mount") {
    in_both_modes(with_things_below, [](Tree& tree) {
        OK(::unlink((tree / "d/old").c_str()));
        OK(::unlink((tree / "d/link").c_str()));
        FAILS(ENOENT, ::unlink((tree / "d/old").c_str()));
        FAILS(EISDIR, ::unlink((tree / "d/empty").c_str()));
        FAILS(ENOENT, ::unlink((tree / "d/never").c_str()));
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"empty", "other"});
        CHECK(read_file(tree / "d/other") == "old content");
        tree.unmount();
        tree.mount();
        CHECK_FALSE(exists(tree / "d/old"));
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"empty", "other"});
    });
}

TEST_CASE("unlink: and make again, as something else") {
    in_both_modes(with_things_below, [](Tree& tree) {
        OK(::unlink((tree / "d/old").c_str()));
        OK(::mkdir((tree / "d/old").c_str(), 0755));
        CHECK(list_dir(tree / "d/old").empty());
        OK(::rmdir((tree / "d/old").c_str()));
        OK(::symlink("x", (tree / "d/old").c_str()));
        CHECK(link_target(tree / "d/old") == "x");
        OK(::unlink((tree / "d/old").c_str()));
        write_file(tree / "d/old", "again");
        CHECK(read_file(tree / "d/old") == "again");
        CHECK(stat_of(tree / "d/old").st_nlink == 1);
    });
}

TEST_CASE("rmdir: not while something is in it, then gone with what was below") {
    in_both_modes(with_things_below, [](Tree& tree) {
        FAILS(ENOTEMPTY, ::rmdir((tree / "d").c_str()));
        FAILS(ENOTDIR, ::rmdir((tree / "d/old").c_str()));
        OK(::rmdir((tree / "d/empty").c_str()));
        for (std::string name : {"d/old", "d/other", "d/link"}) OK(::unlink((tree / name).c_str()));
        CHECK(list_dir(tree / "d").empty());
        OK(::rmdir((tree / "d").c_str()));
        FAILS(ENOENT, ::rmdir((tree / "d").c_str()));
        OK(::mkdir((tree / "d").c_str(), 0755));
        CHECK(list_dir(tree / "d").empty());
        write_file(tree / "d/new", "new");
        tree.unmount();
        tree.mount();
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"new"});
    });
}

TEST_CASE("rmdir: a directory that somebody sits in") {
    in_both_modes(with_things_below, [](Tree& tree) {
        UniqueFd dir = open_file(tree / "d/empty", O_RDONLY | O_DIRECTORY);
        OK(::rmdir((tree / "d/empty").c_str()));
        FAILS(ENOENT, ::openat(dir.get(), "x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        FAILS(ENOENT, ::mkdirat(dir.get(), "x", 0700));
    });
}

TEST_CASE("deleted: an open file goes on, new ones and ones from below") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "new", "new content");
        for (std::string name : {"new", "d/old"}) {
            CAPTURE(name);
            UniqueFd fd = open_file(tree / name, O_RDWR);
            nlink_t links = stat_of(fd.get()).st_nlink;
            OK(::unlink((tree / name).c_str()));
            CHECK(stat_of(fd.get()).st_nlink == links - 1);
            CHECK(read_fd(fd.get()).substr(3) == " content");
            write_fd(fd.get(), "NEW", 0);
            CHECK(read_fd(fd.get()) == "NEW content");
            OK(::ftruncate(fd.get(), 3));
            CHECK(stat_of(fd.get()).st_size == 3);
            OK(::fchmod(fd.get(), 0604));
            OK(::fchown(fd.get(), 3, 4));
            CHECK((stat_of(fd.get()).st_mode & 07777) == 0604);
            CHECK(stat_of(fd.get()).st_uid == 3);
            timespec times[2] = {{1000, 1}, {2000, 2}};
            OK(::futimens(fd.get(), times));
            CHECK(ns(stat_of(fd.get()).st_mtim) == 2000000000002LL);
            OK(::fsetxattr(fd.get(), "user.k", "v", 1, 0));
            char value[4];
            CHECK(::fgetxattr(fd.get(), "user.k", value, sizeof value) == 1);
            OK(::fsync(fd.get()));
        }
    });
}

TEST_CASE("deleted: the last name of a file below, open for reading only") {
    in_both_modes([](Tree& tree) { write_file(tree.below() + "/single", "still here"); },
                  [](Tree& tree) {
                      UniqueFd fd = open_file(tree / "single", O_RDONLY);
                      OK(::unlink((tree / "single").c_str()));
                      CHECK(stat_of(fd.get()).st_nlink == 0);
                      CHECK(read_fd(fd.get()) == "still here");
                      write_file(tree / "single", "another file");
                      CHECK(read_fd(fd.get()) == "still here");
                      CHECK(stat_of(fd.get()).st_ino != stat_of(tree / "single").st_ino);
                  });
}

TEST_CASE("deleted: replaced by rename while open and mapped") {
    in_both_modes(with_things_below, [](Tree& tree) {
        UniqueFd fd = open_file(tree / "d/old", O_RDONLY);
        void* map = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
        REQUIRE(map != MAP_FAILED);
        write_file(tree / "fresh", "fresh content");
        OK(::rename((tree / "fresh").c_str(), (tree / "d/old").c_str()));
        CHECK(read_fd(fd.get()) == "old content");
        CHECK(std::string_view(static_cast<char*>(map), 11) == "old content");
        CHECK(read_file(tree / "d/old") == "fresh content");
        CHECK(read_file(tree / "d/other") == "old content");
        OK(::munmap(map, 4096));
    });
}

TEST_CASE("tmpfile: unnamed until it is linked") {
    in_both_modes(with_things_below, [](Tree& tree) {
        Counter count(tree.mnt());
        UniqueFd fd(OK(::open((tree / "d").c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0640)));
        CHECK(stat_of(fd.get()).st_nlink == 0);
        write_fd(fd.get(), "unnamed", 0);
        CHECK(read_fd(fd.get()) == "unnamed");
        auto before = list_dir(tree / "d");
        std::string self = "/proc/self/fd/" + std::to_string(fd.get());
        OK(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (tree / "d/named").c_str(), AT_SYMLINK_FOLLOW));
        CHECK(read_file(tree / "d/named") == "unnamed");
        CHECK(stat_of(fd.get()).st_nlink == 1);
        CHECK((stat_of(tree / "d/named").st_mode & 07777) == 0640);
        CHECK(list_dir(tree / "d").size() == before.size() + 1);
        UniqueFd never(OK(::open((tree / "d").c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0640)));
        self = "/proc/self/fd/" + std::to_string(never.get());
        FAILS(ENOENT, ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (tree / "d/x").c_str(), AT_SYMLINK_FOLLOW));
        CHECK(count.served() == 0);
    });
}

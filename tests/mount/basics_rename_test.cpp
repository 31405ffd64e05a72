// rename in all its forms: objects made here, objects from below, directories merged of both.
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void with_things_below(Tree& tree) {
    make_dirs(tree.below() + "/d/sub");
    make_dirs(tree.below() + "/empty");
    make_dirs(tree.below() + "/full");
    write_file(tree.below() + "/full/x", "x");
    write_file(tree.below() + "/d/old", "old");
    write_file(tree.below() + "/d/target", "target");
    write_file(tree.below() + "/d/sub/leaf", "leaf");
}

int rename2(const std::string& from, const std::string& to, unsigned flags) {
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

// Directories from below may answer EXDEV (as overlayfs without redirect_dir): then what mv does must work
// instead.
void move_directory(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) == 0) return;
    REQUIRE(errno == EXDEV);
    must_run({"mv", "-T", from, to});
}

}  // namespace

TEST_CASE("rename: files, within and across directories, over nothing and over something") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "new", "new");
        OK(::rename((tree / "new").c_str(), (tree / "d/moved").c_str()));
        CHECK(read_file(tree / "d/moved") == "new");
        CHECK_FALSE(exists(tree / "new"));
        OK(::rename((tree / "d/old").c_str(), (tree / "up").c_str()));
        CHECK(read_file(tree / "up") == "old");
        CHECK_FALSE(exists(tree / "d/old"));
        OK(::rename((tree / "up").c_str(), (tree / "d/target").c_str()));
        CHECK(read_file(tree / "d/target") == "old");
        FAILS(ENOENT, ::rename((tree / "d/old").c_str(), (tree / "y").c_str()));
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"moved", "sub", "target"});
        tree.unmount();
        tree.mount();
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"moved", "sub", "target"});
        CHECK(read_file(tree / "d/target") == "old");
        CHECK_FALSE(exists(tree / "up"));
    });
}

TEST_CASE("rename: onto itself, onto a hard link of itself, and impossible ones") {
    in_both_modes(with_things_below, [](Tree& tree) {
        OK(::rename((tree / "d/old").c_str(), (tree / "d/old").c_str()));
        CHECK(read_file(tree / "d/old") == "old");
        write_file(tree / "a", "a");
        OK(::link((tree / "a").c_str(), (tree / "b").c_str()));
        OK(::rename((tree / "a").c_str(), (tree / "b").c_str()));  // POSIX: does nothing
        CHECK(exists(tree / "a"));
        CHECK(exists(tree / "b"));
        FAILS(EINVAL, ::rename((tree / "d").c_str(), (tree / "d/sub/d").c_str()));
        FAILS(EISDIR, ::rename((tree / "a").c_str(), (tree / "empty").c_str()));
        FAILS(ENOTDIR, ::rename((tree / "empty").c_str(), (tree / "a").c_str()));
    });
}

TEST_CASE("rename: new directories, over an empty one, not over a full one") {
    in_both_modes(with_things_below, [](Tree& tree) {
        make_dirs(tree / "n/m");
        write_file(tree / "n/f", "f");
        OK(::rename((tree / "n").c_str(), (tree / "d/n").c_str()));
        CHECK(read_file(tree / "d/n/f") == "f");
        CHECK(exists(tree / "d/n/m"));
        FAILS(ENOTEMPTY, ::rename((tree / "d/n").c_str(), (tree / "full").c_str()));
        OK(::rename((tree / "d/n").c_str(), (tree / "empty").c_str()));
        CHECK(list_dir(tree / "empty") == std::vector<std::string>{"f", "m"});
        tree.unmount();
        tree.mount();
        CHECK(list_dir(tree / "empty") == std::vector<std::string>{"f", "m"});
        CHECK_FALSE(exists(tree / "n"));
    });
}

TEST_CASE("rename: a directory from below keeps everything in it") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "d/mine", "mine");
        move_directory(tree / "d", tree / "elsewhere");
        CHECK_FALSE(exists(tree / "d"));
        CHECK(list_dir(tree / "elsewhere") == std::vector<std::string>{"mine", "old", "sub", "target"});
        CHECK(read_file(tree / "elsewhere/sub/leaf") == "leaf");
        CHECK(read_file(tree / "elsewhere/mine") == "mine");
        OK(::mkdir((tree / "d").c_str(), 0755));
        CHECK(list_dir(tree / "d").empty());
        tree.unmount();
        tree.mount();
        CHECK(list_dir(tree / "d").empty());
        CHECK(list_dir(tree / "elsewhere") == std::vector<std::string>{"mine", "old", "sub", "target"});
    });
}

TEST_CASE("rename: RENAME_NOREPLACE") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "new", "new");
        FAILS(EEXIST, rename2(tree / "new", tree / "d/old", RENAME_NOREPLACE));
        CHECK(read_file(tree / "d/old") == "old");
        OK(rename2(tree / "d/old", tree / "fresh", RENAME_NOREPLACE));
        CHECK(read_file(tree / "fresh") == "old");
        OK(::unlink((tree / "d/target").c_str()));
        OK(rename2(tree / "new", tree / "d/target", RENAME_NOREPLACE));  // only a whiteout was in the way
        CHECK(read_file(tree / "d/target") == "new");
    });
}

TEST_CASE("rename: RENAME_EXCHANGE of new and old objects") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "new", "new");
        write_file(tree / "new2", "new2");
        OK(rename2(tree / "new", tree / "new2", RENAME_EXCHANGE));
        CHECK(read_file(tree / "new") == "new2");
        CHECK(read_file(tree / "new2") == "new");
        FAILS(ENOENT, rename2(tree / "new", tree / "never", RENAME_EXCHANGE));
        if (rename2(tree / "new", tree / "d/old", RENAME_EXCHANGE) != 0) {
            REQUIRE(errno == EXDEV);  // in a pool the two may lie on different disks
            REQUIRE_FALSE(tree.layered());
        } else {
            CHECK(read_file(tree / "new") == "old");
            CHECK(read_file(tree / "d/old") == "new2");
        }
        OK(::mkdir((tree / "n").c_str(), 0755));
        write_file(tree / "n/in", "in");
        OK(rename2(tree / "n", tree / "new2", RENAME_EXCHANGE));
        CHECK(read_file(tree / "n") == "new");
        CHECK(read_file(tree / "new2/in") == "in");
    });
}

TEST_CASE("rename: RENAME_WHITEOUT leaves a whiteout device, as overlayfs on top of us wants it") {
    Layers tree;
    tree.mount();
    write_file(tree / "a", "a");
    if (is_standin() && rename2(tree / "a", tree / "b", RENAME_WHITEOUT) != 0) return;
    if (!is_standin()) OK(rename2(tree / "a", tree / "b", RENAME_WHITEOUT));
    CHECK(read_file(tree / "b") == "a");
    // A whiteout of ours is no object of the merged tree; it may be seen or hidden, but is never the old
    // file.
    if (exists(tree / "a")) {
        CHECK(S_ISCHR(lstat_of(tree / "a").st_mode));
        CHECK(lstat_of(tree / "a").st_rdev == makedev(0, 0));
    }
}

TEST_CASE("rename: a file keeps its inode number, its open descriptors and its other names") {
    in_both_modes(with_things_below, [](Tree& tree) {
        write_file(tree / "new", "new");
        OK(::link((tree / "new").c_str(), (tree / "second").c_str()));
        UniqueFd fd = open_file(tree / "new", O_RDWR);
        ino_t ino = stat_of(fd.get()).st_ino;
        OK(::rename((tree / "new").c_str(), (tree / "d/moved").c_str()));
        CHECK(stat_of(tree / "d/moved").st_ino == ino);
        CHECK(stat_of(tree / "second").st_ino == ino);
        write_fd(fd.get(), "written after", 0);
        CHECK(read_file(tree / "d/moved") == "written after");
        UniqueFd old = open_file(tree / "d/old", O_RDONLY);
        OK(::rename((tree / "d/old").c_str(), (tree / "d/sub/old").c_str()));
        CHECK(read_fd(old.get()) == "old");
        CHECK(read_file(tree / "d/sub/old") == "old");
    });
}

// Hard links of lower files are one file: whichever name was changed, over mounts, and for the kernel's overlayfs,
// which reads the index that we write and writes the one that we read.
#include <sys/mount.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

const std::vector<std::string> kNames = {"a", "d/b", "d/e/c"};

void fill(Layers& tree) {
    make_dirs(tree.lower2 + "/d/e");
    write_file(tree.lower2 + "/a", "old");
    for (std::string name : {"d/b", "d/e/c"})
        OK(::link((tree.lower2 + "/a").c_str(), (tree.lower2 + "/" + name).c_str()));
    write_file(tree.lower2 + "/alone", "alone");
}

// All of these are names of one file, and there are as many as it says.
void check_one_file(const std::string& mnt, const std::vector<std::string>& names, std::string_view content,
                    nlink_t links) {
    for (const std::string& name : names) {
        CAPTURE(name);
        const struct stat st = stat_of(mnt + "/" + name);
        CHECK(st.st_ino == stat_of(mnt + "/" + names[0]).st_ino);
        CHECK(st.st_nlink == links);
        CHECK(read_file(mnt + "/" + name) == content);
    }
}

Mounted kernel_overlay(const Layers& tree) {
    return Mounted("overlay", tree.mnt(), "overlay", 0, tree.options() + ",index=on,redirect_dir=off,metacopy=off");
}

std::vector<std::string> entries(const Layers& tree) {
    std::vector<std::string> out;
    if (!exists(tree.work + "/index")) return out;
    for (const std::string& name : list_dir(tree.work + "/index")) {
        if (name[0] != '#') out.push_back(name);
    }
    return out;
}

void remount(Layers& tree, const std::string& options = "index=on") {
    tree.unmount();
    tree.mount(options);
}

// Options: ours; empty: the kernel's own overlayfs.
struct Shown {
    Shown(Layers& tree, bool kernel) : tree_(tree) {
        if (kernel) {
            overlay_ = kernel_overlay(tree);
        } else {
            tree.mount("index=on");
        }
    }
    ~Shown() {
        overlay_.reset();
        tree_.unmount();
    }
    Layers& tree_;
    Mounted overlay_;
};

}  // namespace

TEST_CASE("index: what is written through one name is read through the others, after the next mount") {
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    write_file(tree / "d/b", "new");
    CHECK(stat_of(tree / "d/b").st_nlink == 3);
    for (int mounts = 0; mounts < 2; ++mounts) {
        remount(tree);
        check_one_file(tree.mnt(), {"d/e/c", "a", "d/b"}, "new", 3);
        // A look changes nothing.
        CHECK_FALSE(exists(tree.upper + "/a"));
        CHECK_FALSE(exists(tree.upper + "/d/e"));
    }
    REQUIRE(entries(tree).size() == 1);
    CHECK(stat_of(tree.work + "/index/" + entries(tree)[0]).st_ino == stat_of(tree.upper + "/d/b").st_ino);
    CHECK(get_xattr(tree.upper + "/d/b", "trusted.overlay.nlink") == "U+1");
    CHECK(get_xattr(tree.upper + "/d", "trusted.overlay.impure") == "y");
    // A change is one of all names that are known.
    OK(::chmod((tree / "a").c_str(), 0600));
    CHECK(stat_of(tree.upper + "/d/e/c").st_ino == stat_of(tree.upper + "/d/b").st_ino);
    CHECK(get_xattr(tree.upper + "/d/b", "trusted.overlay.nlink") == "U-1");
    check_one_file(tree.mnt(), kNames, "new", 3);
}

TEST_CASE("index: chown -R over hard links reaches each file once, and holds") {
    Layers tree;
    fill(tree);
    tree.mount();  // automatic: it is had where it can be
    must_run({"chown", "-R", "7:8", tree.mnt()});
    for (int mounts = 0; mounts < 2; ++mounts) {
        check_one_file(tree.mnt(), kNames, "old", 3);
        for (const std::string& name : kNames) CHECK(stat_of(tree / name).st_uid == 7);
        CHECK(run({"find", tree.mnt(), "-type", "f", "-links", "3"}).out.size() > 0);
        CHECK(run({"find", tree.mnt(), "-type", "f", "-not", "-links", "3", "-printf", "%f"}).out == "alone");
        remount(tree, "");
    }
    CHECK(entries(tree).size() == 1);
}

TEST_CASE("index: names that lie below only are unlinked, renamed, exchanged and linked") {
    for (bool kernel : {false, true}) {
        CAPTURE(kernel);
        Layers tree;
        fill(tree);
        {
            Shown first(tree, kernel);
            write_file(tree / "d/b", "new");
        }
        {
            Shown second(tree, false);
            OK(::unlink((tree / "a").c_str()));
            check_one_file(tree.mnt(), {"d/b", "d/e/c"}, "new", 2);
            OK(::rename((tree / "d/e/c").c_str(), (tree / "moved").c_str()));
            OK(::link((tree / "moved").c_str(), (tree / "d/more").c_str()));
            OK(::renameat2(AT_FDCWD, (tree / "d/more").c_str(), AT_FDCWD, (tree / "alone").c_str(), RENAME_EXCHANGE));
            check_one_file(tree.mnt(), {"d/b", "moved", "alone"}, "new", 3);
            CHECK(read_file(tree / "d/more") == "alone");
        }
        {
            Shown third(tree, !kernel);
            CHECK_FALSE(exists(tree / "a"));
            CHECK_FALSE(exists(tree / "d/e/c"));
            check_one_file(tree.mnt(), {"d/b", "moved", "alone"}, "new", 3);
            CHECK(read_file(tree / "d/more") == "alone");
        }
    }
}

TEST_CASE("index: an exchange and a rename over names that lie below only") {
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    write_file(tree / "a", "new");
    remount(tree);
    OK(::renameat2(AT_FDCWD, (tree / "d/b").c_str(), AT_FDCWD, (tree / "alone").c_str(), RENAME_EXCHANGE));
    write_file(tree / "over", "over");
    OK(::rename((tree / "over").c_str(), (tree / "d/e/c").c_str()));
    for (int mounts = 0; mounts < 2; ++mounts) {
        check_one_file(tree.mnt(), {"a", "alone"}, "new", 2);
        CHECK(read_file(tree / "d/b") == "alone");
        CHECK(read_file(tree / "d/e/c") == "over");
        remount(tree);
    }
    tree.unmount();
    Mounted overlay = kernel_overlay(tree);
    check_one_file(tree.mnt(), {"a", "alone"}, "new", 2);
}

TEST_CASE("index: the last name takes the entry with it, an open file lives on") {
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    write_file(tree / "d/b", "new");
    remount(tree);
    UniqueFd fd = open_file(tree / "a", O_RDWR);
    for (const std::string& name : kNames) {
        CHECK(entries(tree).size() == 1);
        OK(::unlink((tree / name).c_str()));
    }
    CHECK(entries(tree).empty());
    CHECK(read_fd(fd.get()) == "new");
    write_fd(fd.get(), "and more", 3);
    CHECK(read_fd(fd.get()) == "newand more");
    CHECK(stat_of(fd.get()).st_nlink == 0);
    fd.reset();
    tree.unmount();
    Mounted overlay = kernel_overlay(tree);
    CHECK(list_dir(tree.mnt()) == std::vector<std::string>{"alone", "d"});
}

TEST_CASE("index: a file that was removed by one name and written by its descriptor is new under the others") {
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    UniqueFd fd = open_file(tree / "a", O_RDONLY);
    OK(::unlink((tree / "a").c_str()));
    OK(::fchmod(fd.get(), 0600));
    fd.reset();
    for (int mounts = 0; mounts < 2; ++mounts) {
        for (std::string name : {"d/b", "d/e/c"}) CHECK((stat_of(tree / name).st_mode & 07777) == 0600);
        check_one_file(tree.mnt(), {"d/b", "d/e/c"}, "old", 2);
        remount(tree);
    }
}

TEST_CASE("index: the kernel's overlayfs takes up ours, and we take up the kernel's") {
    for (bool kernel : {false, true}) {
        CAPTURE(kernel);
        Layers tree;
        fill(tree);
        std::vector<std::string> names = kNames;
        for (int turn = 0; turn < 4; ++turn) {
            Shown mounted(tree, kernel == (turn % 2 == 0));
            const std::string content = "turn " + std::to_string(turn);
            write_file(tree / names[static_cast<std::size_t>(turn) % names.size()], content);
            names.push_back("link" + std::to_string(turn));
            OK(::link((tree / names[static_cast<std::size_t>(turn)]).c_str(), (tree / names.back()).c_str()));
            check_one_file(tree.mnt(), names, content, static_cast<nlink_t>(names.size()));
        }
        CHECK(get_xattr(tree.upper, "trusted.overlay.origin") != "(none)");
        CHECK(get_xattr(tree.work + "/index", "trusted.overlay.upper") != "(none)");
        Shown mounted(tree, kernel);
        check_one_file(tree.mnt(), names, "turn 3", 7);
        for (const std::string& name : names) OK(::unlink((tree / name).c_str()));
        CHECK(entries(tree).empty());
    }
}

TEST_CASE("index: special files and symlinks with several names") {
    need_privilege("attributes of symlinks and fifos");
    Layers tree;
    OK(::symlink("target", (tree.lower + "/s1").c_str()));
    OK(::linkat(AT_FDCWD, (tree.lower + "/s1").c_str(), AT_FDCWD, (tree.lower + "/s2").c_str(), 0));
    OK(::mkfifo((tree.lower + "/f1").c_str(), 0644));
    OK(::link((tree.lower + "/f1").c_str(), (tree.lower + "/f2").c_str()));
    tree.mount("index=on");
    OK(::lchown((tree / "s1").c_str(), 5, 5));
    OK(::chown((tree / "f1").c_str(), 5, 5));
    remount(tree);
    for (std::string name : {"s2", "f2", "s1", "f1"}) {
        CHECK(lstat_of(tree / name).st_uid == 5);
        CHECK(lstat_of(tree / name).st_nlink == 2);
    }
    CHECK(link_target(tree / "s2") == "target");
}

TEST_CASE("index: attributes copied up alone, content at the first write") {
    Layers tree;
    fill(tree);
    tree.mount("index=on,metacopy=on");
    OK(::chmod((tree / "d/b").c_str(), 0640));
    remount(tree, "index=on,metacopy=on");
    check_one_file(tree.mnt(), kNames, "old", 3);
    CHECK((stat_of(tree / "d/e/c").st_mode & 07777) == 0640);
    write_file(tree / "d/e/c", "new");
    check_one_file(tree.mnt(), kNames, "new", 3);
    remount(tree, "index=on,metacopy=on");
    check_one_file(tree.mnt(), kNames, "new", 3);
}

TEST_CASE("index: a read-only mount shows what it says") {
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    const ino_t number = stat_of(tree / "alone").st_ino;
    write_file(tree / "d/b", "new");
    write_file(tree / "alone", "changed");
    remount(tree, "ro");
    check_one_file(tree.mnt(), {"d/e/c", "a", "d/b"}, "new", 3);
    CHECK(stat_of(tree / "alone").st_ino == number);
    FAILS(EROFS, ::chmod((tree / "a").c_str(), 0600));
    FAILS(EROFS, ::unlink((tree / "a").c_str()));
}

TEST_CASE("index: what an interrupted copy-up or unlink left behind") {
    need_privilege("open_by_handle_at");
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    write_file(tree / "d/b", "new");
    tree.unmount();
    // Counted from the original while its names become names of the copy.
    set_xattr(tree.upper + "/d/b", "trusted.overlay.nlink", "L+0");
    tree.mount("index=on");
    check_one_file(tree.mnt(), {"d/b", "a", "d/e/c"}, "new", 3);
    OK(::unlink((tree / "a").c_str()));
    remount(tree);
    check_one_file(tree.mnt(), {"d/e/c", "d/b"}, "new", 2);
    CHECK(get_xattr(tree.upper + "/d/b", "trusted.overlay.nlink") == "U+0");
    OK(::unlink((tree / "d/e/c").c_str()));
    tree.unmount();
    // The last name went, its entry did not.
    REQUIRE(entries(tree).size() == 1);
    OK(::unlink((tree.upper + "/d/b").c_str()));
    tree.mount("index=on");
    CHECK(entries(tree).empty());
}

TEST_CASE("index: off keeps names together as long as the mount, and leaves no trace") {
    Layers tree;
    fill(tree);
    tree.mount("index=off");
    write_file(tree / "d/b", "new");
    check_one_file(tree.mnt(), kNames, "new", 3);
    CHECK_FALSE(exists(tree.work + "/index"));
    CHECK(get_xattr(tree.upper + "/d/b", "trusted.overlay.origin") == "(none)");
}

TEST_CASE("index: in user attributes, as overlayfs with userxattr has it") {
    need_privilege("other attributes than those of users");
    Layers tree;
    fill(tree);
    tree.mount("index=on,userxattr");
    write_file(tree / "d/b", "new");
    remount(tree, "index=on,userxattr");
    check_one_file(tree.mnt(), {"a", "d/b", "d/e/c"}, "new", 3);
    CHECK(get_xattr(tree.upper + "/d/b", "user.overlay.nlink") == "U+1");
    CHECK(get_xattr(tree.upper + "/d/b", "trusted.overlay.origin") == "(none)");
    CHECK(get_xattr(tree / "d/b", "user.overlay.origin") == "(none)");
    tree.unmount();
    Mounted overlay("overlay", tree.mnt(), "overlay", 0, tree.options() + ",index=on,userxattr");
    check_one_file(tree.mnt(), {"a", "d/b", "d/e/c"}, "new", 3);
}

TEST_CASE("index: where nothing needs it, automatic leaves no trace either") {
    Layers tree;
    fill(tree);
    tree.mount();
    write_file(tree / "alone", "new");
    CHECK_FALSE(exists(tree.work + "/index"));
    CHECK(get_xattr(tree.upper, "trusted.overlay.origin") == "(none)");
}

TEST_CASE("index: of other layers is not used") {
    need_privilege("index of the kernel");
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    write_file(tree / "d/b", "new");
    tree.unmount();
    const std::string options = "lowerdir=" + tree.lower2 + ",upperdir=" + tree.upper + ",workdir=" + tree.work;
    const Ran refused = run_plyfs({"-o", options + ",index=on", tree.mnt()});
    CHECK(refused.code == 32);
    CHECK(refused.err.find("was used over another lower directory") != std::string::npos);
    CHECK(try_mount("overlay", tree.mnt(), "overlay", 0, options + ",index=on") == ESTALE);
    Mount automatic(options, "", tree.mnt());
    CHECK(read_file(automatic / "d/b") == "new");
    CHECK(read_file(automatic / "a") == "old");
}

TEST_CASE("index: on is refused where there are no file handles, automatic does without") {
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 64);
    const std::string inner = disk.dir("inner"), upper = disk.dir("upper"), work = disk.dir("work");
    const std::string mnt = scratch.dir("mnt"), middle = scratch.dir("middle");
    write_file(inner + "/a", "old");
    OK(::link((inner + "/a").c_str(), (inner + "/b").c_str()));
    Mounted overlay("overlay", middle, "overlay", 0,
                    "lowerdir=" + inner + ",upperdir=" + disk.dir("u2") + ",workdir=" + disk.dir("w2"));
    const std::string options = "lowerdir=" + middle + ",upperdir=" + upper + ",workdir=" + work;
    const Ran refused = run_plyfs({"-o", options + ",index=on", mnt});
    CHECK(refused.code == 32);
    CHECK(refused.err.find("index=on can not be had: the file system of " + middle + " gives no file handles") !=
          std::string::npos);
    Mount mounted(options, "", mnt);
    write_file(mounted / "a", "new");
    CHECK(read_file(mounted / "b") == "new");
    CHECK(get_xattr(upper + "/a", "trusted.overlay.origin") == "(none)");
}

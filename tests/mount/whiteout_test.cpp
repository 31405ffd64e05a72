// The format of what is deleted and replaced is overlayfs' own: the kernel's overlayfs shows the same tree
// from the same upper, whoever wrote it.
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void fill(Layers& tree) {
    for (const std::string& root : {tree.lower, tree.lower2}) {
        make_dirs(root + "/d/sub/deep");
        make_dirs(root + "/gone");
        make_dirs(root + "/replaced");
        write_file(root + "/d/common", root);
        write_file(root + "/gone/x", "x");
        write_file(root + "/replaced/x", "x");
    }
    write_file(tree.lower + "/d/upper_one", "1");
    write_file(tree.lower2 + "/d/lower_one", "2");
    write_file(tree.lower2 + "/d/sub/deep/leaf", "leaf");
    write_file(tree.lower + "/file", "file");
    write_file(tree.lower2 + "/dir_below_file", "not a directory");
    make_dirs(tree.lower2 + "/file");
    write_file(tree.lower2 + "/file/hidden", "a file above hides this directory");
    OK(::symlink("d", (tree.lower + "/link").c_str()));
}

void change(const std::string& mnt) {
    OK(::unlink((mnt + "/d/common").c_str()));
    OK(::unlink((mnt + "/d/lower_one").c_str()));
    must_run({"rm", "-r", mnt + "/gone"});
    must_run({"rm", "-r", mnt + "/replaced"});
    OK(::mkdir((mnt + "/replaced").c_str(), 0755));
    write_file(mnt + "/replaced/new", "new");
    OK(::rename((mnt + "/d/upper_one").c_str(), (mnt + "/d/sub/moved").c_str()));
    OK(::unlink((mnt + "/file").c_str()));
    OK(::mkdir((mnt + "/file").c_str(), 0711));
    OK(::unlink((mnt + "/link").c_str()));
    write_file(mnt + "/link", "no link any more");
    OK(::chmod((mnt + "/d/sub/deep/leaf").c_str(), 0600));
    OK(::unlink((mnt + "/d/sub/moved").c_str()));
    write_file(mnt + "/d/sub/moved", "again");
    make_dirs(mnt + "/fresh/dir");
    write_file(mnt + "/fresh/dir/f", pattern(20000));
}

void check_marks(const Layers& tree) {
    for (std::string name : {"d/common", "d/lower_one", "gone"}) {
        CAPTURE(name);
        struct stat st = lstat_of(tree.upper + "/" + name);
        CHECK(S_ISCHR(st.st_mode));
        CHECK(st.st_rdev == makedev(0, 0));
    }
    for (std::string name : {"replaced", "file"}) {
        CAPTURE(name);
        CHECK(get_xattr(tree.upper + "/" + name, "trusted.overlay.opaque") == "y");
    }
    CHECK(get_xattr(tree.upper + "/d", "trusted.overlay.opaque") == "(none)");
    CHECK_FALSE(exists(tree.upper + "/fresh/x"));
}

Mounted kernel_overlay(const Layers& tree) {
    return Mounted("overlay", tree.mnt(), "overlay", 0, tree.options() + ",redirect_dir=off,metacopy=off");
}

}  // namespace

TEST_CASE("whiteouts: written as overlayfs writes them, and invisible in the merged tree") {
    Layers tree;
    fill(tree);
    tree.mount();
    change(tree.mnt());
    check_marks(tree);
    CHECK(list_dir(tree / "d") == std::vector<std::string>{"sub"});
    CHECK(list_dir(tree / "replaced") == std::vector<std::string>{"new"});
    CHECK(list_dir(tree / "file").empty());
    CHECK_FALSE(exists(tree / "gone"));
    // The marks of the union are nobody's business but its own.
    CHECK(get_xattr(tree / "replaced", "trusted.overlay.opaque") == "(none)");
    CHECK(all_xattrs(tree / "replaced").empty());
}

TEST_CASE("whiteouts: the kernel's overlayfs shows the same tree from our upper") {
    Layers tree;
    fill(tree);
    tree.mount();
    change(tree.mnt());
    TreeDigest ours = TreeDigest::seen(tree.mnt());
    CHECK(ours.size() > 10);
    tree.unmount();
    Mounted overlay = kernel_overlay(tree);
    CHECK(ours.difference(TreeDigest::seen(tree.mnt())) == "");
    write_file(tree / "d/common", "made by the kernel");
    OK(::unlink((tree / "fresh/dir/f").c_str()));
}

TEST_CASE("whiteouts: we show the same tree from the kernel's upper, and go on with it") {
    Layers tree;
    fill(tree);
    TreeDigest theirs;
    {
        Mounted overlay = kernel_overlay(tree);
        change(tree.mnt());
        theirs = TreeDigest::seen(tree.mnt());
    }
    check_marks(tree);
    tree.mount();
    CHECK(theirs.difference(TreeDigest::seen(tree.mnt())) == "");
    write_file(tree / "d/common", "back");
    CHECK(read_file(tree / "d/common") == "back");
    OK(::mkdir((tree / "gone").c_str(), 0755));
    CHECK(list_dir(tree / "gone").empty());
    must_run({"rm", "-r", tree / "d"});
    TreeDigest ours = TreeDigest::seen(tree.mnt());
    tree.unmount();
    Mounted overlay = kernel_overlay(tree);
    CHECK(ours.difference(TreeDigest::seen(tree.mnt())) == "");
}

TEST_CASE("whiteouts: in a lower layer they hide what is below, as for overlayfs") {
    Layers tree;
    fill(tree);
    OK(::mknod((tree.lower + "/dir_below_file").c_str(), S_IFCHR, makedev(0, 0)));
    set_xattr(tree.lower + "/gone", "trusted.overlay.opaque", "y");
    OK(::unlink((tree.lower + "/gone/x").c_str()));
    tree.mount();
    CHECK_FALSE(exists(tree / "dir_below_file"));
    CHECK(list_dir(tree / "gone").empty());
    write_file(tree / "dir_below_file", "new");
    CHECK(read_file(tree / "dir_below_file") == "new");
    OK(::unlink((tree / "dir_below_file").c_str()));
    CHECK_FALSE(exists(tree / "dir_below_file"));
}

TEST_CASE("whiteouts: a name that was never below leaves none") {
    Layers tree;
    fill(tree);
    tree.mount();
    write_file(tree / "own", "x");
    OK(::unlink((tree / "own").c_str()));
    CHECK_FALSE(exists(tree.upper + "/own"));
    OK(::mkdir((tree / "owndir").c_str(), 0755));
    OK(::rmdir((tree / "owndir").c_str()));
    CHECK_FALSE(exists(tree.upper + "/owndir"));
    write_file(tree / "own", "x");
    OK(::rename((tree / "own").c_str(), (tree / "own2").c_str()));
    CHECK_FALSE(exists(tree.upper + "/own"));
}

TEST_CASE("whiteouts: a pool of writable disks needs none") {
    Pool pool;
    make_dirs(pool.b + "/d");
    write_file(pool.b + "/d/f", "x");
    pool.mount();
    OK(::unlink((pool / "d/f").c_str()));
    OK(::rmdir((pool / "d").c_str()));
    CHECK_FALSE(exists(pool.a + "/d"));
    CHECK_FALSE(exists(pool.b + "/d"));
}

TEST_CASE("whiteouts: in a pool nothing is linked or renamed to below one, where it would not be seen") {
    Pool disks;
    disks.mount();
    disks.unmount();
    const std::string top = disks.a + "/top", below = disks.a + "/below", last = disks.b + "/last";
    const std::string mnt = disks.scratch() / "union";
    for (const std::string& dir : {top, below, last, mnt}) make_dirs(dir);
    write_file(below + "/n", "old");
    write_file(last + "/f", "new");
    Mount mount("create=ff", top + ":" + below + "=ro:" + last, mnt);
    OK(::unlink((mount / "n").c_str()));
    FAILS(EXDEV, ::rename((mount / "f").c_str(), (mount / "n").c_str()));
    FAILS(EXDEV, ::link((mount / "f").c_str(), (mount / "n").c_str()));
    must_run({"mv", mount / "f", mount / "n"});
    drop_caches();
    CHECK(read_file(mount / "n") == "new");
    CHECK_FALSE(exists(mount / "f"));
}

// Directories with a part on a read-only layer are renamed by a redirect: the marks are overlayfs' own, the kernel
// shows the same tree from the same layers.
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mount/kernel_view.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

int exchange(const std::string& a, const std::string& b) {
    return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
}

void fill(Layers& tree) {
    for (const std::string& root : {tree.lower, tree.lower2}) {
        make_dirs(root + "/a/b/c");
        make_dirs(root + "/other");
        write_file(root + "/a/b/c/common", root);
    }
    write_file(tree.lower + "/a/one", "one");
    write_file(tree.lower2 + "/a/two", "two");
    write_file(tree.lower2 + "/a/b/three", "three");
    write_file(tree.lower + "/other/o", "o");
    make_dirs(tree.lower2 + "/taken");
    write_file(tree.lower2 + "/taken/hidden", "hidden");
}

}  // namespace

TEST_CASE("redirect: a merged directory is renamed with everything in it, at once and after a new mount") {
    Layers tree;
    fill(tree);
    tree.mount();
    const int inside = OK(::open((tree / "a/b").c_str(), O_RDONLY | O_DIRECTORY));
    OK(::rename((tree / "a").c_str(), (tree / "moved").c_str()));
    CHECK_FALSE(exists(tree / "a"));
    CHECK(list_dir(tree / "moved") == std::vector<std::string>{"b", "one", "two"});
    CHECK(read_file(tree / "moved/b/c/common") == tree.lower);
    CHECK(::faccessat(inside, "three", R_OK, 0) == 0);
    ::close(inside);
    CHECK(get_xattr(tree.upper + "/moved", kRedirect) == "/a");
    CHECK(list_dir(tree.upper + "/moved").empty());

    OK(::rename((tree / "moved/b").c_str(), (tree / "other/b2").c_str()));
    OK(::rename((tree / "moved").c_str(), (tree / "other/again").c_str()));
    OK(::rename((tree / "other").c_str(), (tree / "last").c_str()));
    write_file(tree / "last/b2/c/new", "new");
    OK(::unlink((tree / "last/b2/three").c_str()));
    CHECK(list_dir(tree / "last") == std::vector<std::string>{"again", "b2", "o"});
    CHECK(list_dir(tree / "last/again") == std::vector<std::string>{"one", "two"});
    CHECK(list_dir(tree / "last/b2/c") == std::vector<std::string>{"common", "new"});
    CHECK(get_xattr(tree.upper + "/last/b2", kRedirect) == "/a/b");
    const TreeDigest before = TreeDigest::seen(tree.mnt());
    tree.unmount();
    tree.mount();
    CHECK(before.difference(TreeDigest::seen(tree.mnt())) == "");
    check_with_kernel(tree);
}

TEST_CASE("redirect: over an empty directory, a whiteout and in exchange with anything") {
    Layers tree;
    fill(tree);
    make_dirs(tree.lower + "/empty");
    write_file(tree.lower + "/file", "file");
    tree.mount();
    FAILS(ENOTEMPTY, ::rename((tree / "a").c_str(), (tree / "taken").c_str()));
    OK(::rename((tree / "a").c_str(), (tree / "empty").c_str()));
    CHECK(list_dir(tree / "empty") == std::vector<std::string>{"b", "one", "two"});
    OK(::unlink((tree / "taken/hidden").c_str()));
    OK(::rmdir((tree / "taken").c_str()));
    OK(::rename((tree / "empty").c_str(), (tree / "taken").c_str()));
    CHECK(list_dir(tree / "taken") == std::vector<std::string>{"b", "one", "two"});
    OK(exchange(tree / "taken", tree / "other"));
    CHECK(list_dir(tree / "taken") == std::vector<std::string>{"o"});
    CHECK(list_dir(tree / "other") == std::vector<std::string>{"b", "one", "two"});
    OK(exchange(tree / "other/b", tree / "file"));
    CHECK(read_file(tree / "other/b") == "file");
    CHECK(list_dir(tree / "file") == std::vector<std::string>{"c", "three"});
    FAILS(ENOTEMPTY, ::rmdir((tree / "file").c_str()));
    check_with_kernel(tree);
}

TEST_CASE("redirect: a redirected directory is removed only when it is empty, and can be made anew") {
    Layers tree;
    fill(tree);
    tree.mount();
    OK(::rename((tree / "a").c_str(), (tree / "moved").c_str()));
    FAILS(ENOTEMPTY, ::rmdir((tree / "moved").c_str()));
    must_run({"rm", "-r", tree / "moved"});
    OK(::mkdir((tree / "moved").c_str(), 0755));
    OK(::mkdir((tree / "a").c_str(), 0755));
    CHECK(list_dir(tree / "moved").empty());
    CHECK(list_dir(tree / "a").empty());
    check_with_kernel(tree);
}

// What a layer's own redirect says is for the layers below it: whoever looks from above comes by the names that the
// layer shows, also when another directory lies there now where the redirect leads.
TEST_CASE("redirect: what was renamed in a layer is renamed again above it") {
    Layers tree;
    fill(tree);
    const std::string content = pattern(50000);
    write_file(tree.lower2 + "/content", content);
    write_file(tree.lower2 + "/other/o", "o");
    for (std::string name : {"a", "other"}) must_run({"rm", "-r", tree.lower + "/" + name});
    for (std::string name : {"moved", "again"}) make_dirs(tree.lower + "/" + name);
    set_xattr(tree.lower + "/moved", kRedirect, "/a");
    set_xattr(tree.lower + "/again", kRedirect, "other");
    for (std::string name : {"a", "other", "content"}) {
        make_dirs(tree.lower + "/" + name);
        set_xattr(tree.lower + "/" + name, "trusted.overlay.opaque", "y");
    }
    write_file(tree.lower + "/meta", "");
    OK(::truncate((tree.lower + "/meta").c_str(), static_cast<off_t>(content.size())));
    set_xattr(tree.lower + "/meta", kMetacopy, "");
    set_xattr(tree.lower + "/meta", kRedirect, "/content");
    tree.mount("metacopy=on");
    CHECK(list_dir(tree / "a").empty());
    CHECK(list_dir(tree / "moved") == std::vector<std::string>{"b", "two"});
    CHECK(read_file(tree / "meta") == content);
    const std::string how = [] {
        SUBCASE("what is in it") {
            return "inside";
        }
        SUBCASE("itself") {
            return "itself";
        }
        SUBCASE("itself, when it has been copied") {
            return "copied";
        }
        return "";
    }();
    if (how == "copied") {
        OK(::chmod((tree / "moved").c_str(), 0711));
        write_file(tree / "again/new", "new");
        OK(::chmod((tree / "meta").c_str(), 0600));
    }
    if (how == "inside") {
        OK(::rename((tree / "moved/b").c_str(), (tree / "b2").c_str()));
        OK(::rename((tree / "b2/c").c_str(), (tree / "c2").c_str()));
    } else {
        OK(::rename((tree / "moved").c_str(), (tree / "moved2").c_str()));
        OK(::rename((tree / "again").c_str(), (tree / "moved2/again2").c_str()));
        OK(::rename((tree / "meta").c_str(), (tree / "moved2/meta2").c_str()));
    }
    const TreeDigest before = TreeDigest::seen(tree.mnt());
    tree.unmount();
    tree.mount("metacopy=on");
    CHECK(before.difference(TreeDigest::seen(tree.mnt())) == "");
    if (how == "inside") {
        CHECK(list_dir(tree / "b2") == std::vector<std::string>{"three"});
        CHECK(list_dir(tree / "c2") == std::vector<std::string>{"common"});
    } else {
        CHECK(list_dir(tree / "moved2") == std::vector<std::string>{"again2", "b", "meta2", "two"});
        CHECK(read_file(tree / "moved2/again2/o") == "o");
        CHECK(read_file(tree / "moved2/meta2") == content);
    }
    check_with_kernel(tree);
}

TEST_CASE("redirect: off means that the caller copies and nofollow that one is not looked through") {
    Layers tree;
    fill(tree);
    tree.mount("redirect_dir=off");
    FAILS(EXDEV, ::rename((tree / "a").c_str(), (tree / "moved").c_str()));
    tree.unmount();
    tree.mount();
    OK(::rename((tree / "a").c_str(), (tree / "moved").c_str()));
    tree.unmount();
    tree.mount("redirect_dir=follow");
    CHECK(list_dir(tree / "moved") == std::vector<std::string>{"b", "one", "two"});
    FAILS(EXDEV, ::rename((tree / "moved").c_str(), (tree / "third").c_str()));
    tree.unmount();
    tree.mount("redirect_dir=nofollow");
    FAILS(EPERM, ::access((tree / "moved").c_str(), F_OK));
}

TEST_CASE("redirect: hostile values lead nowhere outside the layers") {
    Layers tree;
    fill(tree);
    make_dirs(tree.scratch().path() + "/outside");
    write_file(tree.scratch().path() + "/outside/secret", "secret");
    const std::string long_path = "/" + std::string(5000, 'x');
    const std::vector<std::string> hostile = {
        "..",  "../outside", "/../outside", "/a/../../outside", "/",    "",      "//a",
        "/a/", "a/b",        ".",           "/a/./b",           "self", "/self", long_path.substr(0, 3900)};
    for (std::size_t i = 0; i < hostile.size(); ++i) {
        for (const std::string& root : {tree.lower, tree.upper}) {
            const std::string name = root + "/h" + std::to_string(i);
            make_dirs(name);
            if (!hostile[i].empty()) set_xattr(name, kRedirect, hostile[i]);
            write_file(name + "m", "");
            OK(::truncate((name + "m").c_str(), 100000));
            set_xattr(name + "m", kMetacopy, "");
            if (!hostile[i].empty()) set_xattr(name + "m", kRedirect, hostile[i]);
        }
    }
    make_dirs(tree.upper + "/self");
    set_xattr(tree.upper + "/self", kRedirect, "/self");
    OK(::symlink((tree.scratch().path() + "/outside").c_str(), (tree.lower2 + "/way").c_str()));
    make_dirs(tree.upper + "/link");
    set_xattr(tree.upper + "/link", kRedirect, "/way");
    tree.mount();
    for (std::size_t i = 0; i < hostile.size(); ++i) {
        CAPTURE(hostile[i]);
        const std::string name = tree / ("h" + std::to_string(i));
        // What lies below under its own name is not what was meant.
        const bool leads = hostile[i].empty() || hostile[i].ends_with("self");
        if (leads) CHECK(exists(name));
        if (!leads) FAILS(EINVAL, ::access(name.c_str(), F_OK));
        CHECK_FALSE(exists(name + "/secret"));
        // No content anywhere: an error, and not an empty file.
        FAILS(leads ? EIO : EINVAL, ::access((name + "m").c_str(), F_OK));
    }
    CHECK(list_dir(tree / "self").empty());
    CHECK(list_dir(tree / "link").empty());
}

TEST_CASE("redirect: what an opaque directory hides stays hidden from what is moved out of it") {
    Layers tree;
    for (const std::string& root : {tree.lower, tree.lower2}) make_dirs(root + "/p/d/a");
    write_file(tree.lower2 + "/p/d/a/hidden", "hidden");
    write_file(tree.lower + "/p/d/a/shown", "shown");
    std::string opaque = tree.lower + "/p";
    SUBCASE("above its parent") {}
    SUBCASE("its parent") {
        opaque += "/d";
    }
    set_xattr(opaque, "trusted.overlay.opaque", "y");
    tree.mount();
    const std::vector<std::string> shown{"shown"};
    CHECK(list_dir(tree / "p/d/a") == shown);
    OK(::rename((tree / "p/d/a").c_str(), (tree / "moved").c_str()));
    CHECK(list_dir(tree / "moved") == shown);
    tree.unmount();
    tree.mount();
    CHECK(list_dir(tree / "moved") == shown);
    check_with_kernel(tree);
}

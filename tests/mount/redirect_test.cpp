// Directories with a part on a read-only layer are renamed by a redirect, and attributes change without the content:
// the marks are overlayfs' own, the kernel shows the same tree from the same layers.
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr const char* kRedirect = "trusted.overlay.redirect";
constexpr const char* kMetacopy = "trusted.overlay.metacopy";

Mounted kernel_overlay(const Layers& tree) {
    return Mounted("overlay", tree.mnt(), "overlay", 0,
                   tree.options() + ",redirect_dir=on,metacopy=on,index=off,xino=off");
}

// Unmounts, and has the kernel show the same.
void check_with_kernel(Layers& tree) {
    const TreeDigest ours = TreeDigest::seen(tree.mnt());
    tree.unmount();
    Mounted kernel = kernel_overlay(tree);
    CHECK(ours.difference(TreeDigest::seen(tree.mnt())) == "");
}

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

TEST_CASE("metacopy: owner, mode, times and attributes change without a copy of the content") {
    Layers tree;
    const std::string content = pattern(3 << 20);
    write_file(tree.lower2 + "/f", content);
    write_file(tree.lower2 + "/small", "small");
    write_file(tree.lower2 + "/empty", "");
    tree.mount("metacopy=on");
    const auto blocks = stat_of(tree / "f").st_blocks;
    OK(::chown((tree / "f").c_str(), 7, 8));
    OK(::chmod((tree / "f").c_str(), 04711));
    OK(::chmod((tree / "small").c_str(), 0600));
    OK(::chmod((tree / "empty").c_str(), 0600));
    set_xattr(tree / "f", "user.x", "y");
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "");
    CHECK(stat_of(tree.upper + "/f").st_blocks < 64);
    CHECK(stat_of(tree / "f").st_blocks == blocks);
    CHECK(stat_of(tree / "f").st_size == static_cast<off_t>(content.size()));
    CHECK(read_file(tree / "f") == content);
    CHECK(read_file(tree / "small") == "small");

    const int reader = OK(::open((tree / "f").c_str(), O_RDONLY));
    const int writer = OK(::open((tree / "f").c_str(), O_RDWR | O_APPEND));
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "(none)");
    CHECK(stat_of(tree / "f").st_mtim.tv_sec == stat_of(tree.lower2 + "/f").st_mtim.tv_sec);
    write_fd(writer, "more", static_cast<off_t>(content.size()));
    CHECK(read_file(tree / "f") == content + "more");
    CHECK(read_fd(reader) ==
          (is_unprivileged() ? content + "more" : content));  // one that does not pass through follows
    ::close(reader);
    ::close(writer);
    CHECK(get_xattr(tree / "f", "user.x") == "y");
    CHECK(stat_of(tree / "f").st_uid == 7);
    check_with_kernel(tree);
}

TEST_CASE("metacopy: renamed, linked, removed while open, truncated and mounted again") {
    Layers tree;
    const std::string content = pattern(200000);
    make_dirs(tree.lower + "/d");
    for (std::string name : {"renamed", "linked", "open", "cut", "d/moved"})
        write_file(tree.lower + "/" + name, content);
    tree.mount("metacopy=on");
    for (std::string name : {"renamed", "linked", "open", "cut", "d/moved"}) OK(::chmod((tree / name).c_str(), 0640));
    OK(::rename((tree / "renamed").c_str(), (tree / "d/r2").c_str()));
    OK(::link((tree / "linked").c_str(), (tree / "d/l2").c_str()));
    OK(::rename((tree / "d/moved").c_str(), (tree / "moved").c_str()));
    OK(::rename((tree / "d").c_str(), (tree / "e").c_str()));
    const int open = OK(::open((tree / "open").c_str(), O_RDONLY));
    OK(::unlink((tree / "open").c_str()));
    CHECK(read_fd(open) == content);
    CHECK(read_file("/proc/self/fd/" + std::to_string(open)) == content);
    OK(::fchmod(open, 0444));
    ::close(open);
    OK(::truncate((tree / "cut").c_str(), 1000));
    CHECK(get_xattr(tree.upper + "/cut", kMetacopy) == "(none)");
    CHECK(get_xattr(tree.upper + "/moved", kRedirect) == "/d/moved");
    tree.unmount();
    tree.mount("metacopy=on");
    CHECK(read_file(tree / "e/r2") == content);
    CHECK(read_file(tree / "e/l2") == content);
    CHECK(read_file(tree / "linked") == content);
    CHECK(read_file(tree / "moved") == content);
    CHECK(read_file(tree / "cut") == content.substr(0, 1000));
    write_fd(open_file(tree / "e/r2", O_WRONLY).get(), "X", 5);
    CHECK(read_file(tree / "e/r2") == content.substr(0, 5) + "X" + content.substr(6));
    check_with_kernel(tree);
}

TEST_CASE("metacopy: one whose completion was interrupted is one still, however many blocks it has") {
    Layers tree;
    const std::string content = pattern(1 << 20);
    write_file(tree.lower2 + "/f", content);
    write_file(tree.lower2 + "/shared", content);
    OK(::link((tree.lower2 + "/shared").c_str(), (tree.lower2 + "/name").c_str()));
    tree.mount("metacopy=on");
    for (std::string name : {"f", "shared"}) OK(::chmod((tree / name).c_str(), 0640));
    tree.unmount();
    // As a crash leaves it: room was taken for all, and not all was written.
    for (std::string name : {"f", "shared"}) {
        UniqueFd fd = open_file(tree.upper + "/" + name, O_WRONLY);
        OK(::fallocate(fd.get(), 0, 0, static_cast<off_t>(content.size())));
        write_fd(fd.get(), content.substr(0, 70000), 0);
    }
    CHECK(stat_of(tree.upper + "/f").st_blocks >= static_cast<blkcnt_t>(content.size() / 512));
    tree.mount("metacopy=on");
    for (std::string name : {"f", "shared", "name"}) {
        CAPTURE(name);
        CHECK(read_file(tree / name) == content);
    }
    OK(::close(OK(::open((tree / "f").c_str(), O_RDWR))));
    CHECK(read_file(tree / "f") == content);
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "(none)");
}

TEST_CASE("metacopy: without room for the content it stays what it is and takes none") {
    Layers tree;
    const std::string content = pattern(12 << 20);
    write_file(tree.lower2 + "/f", content);
    tree.mount("metacopy=on");
    OK(::chmod((tree / "f").c_str(), 0640));
    struct statvfs room {};
    OK(::statvfs(tree.upper.c_str(), &room));
    {
        UniqueFd filler = open_file(tree.upper + "/../filler", O_CREAT | O_WRONLY);
        const auto all = static_cast<off_t>(room.f_bavail * room.f_frsize);
        OK(::fallocate(filler.get(), 0, 0, all - (6 << 20)));
    }
    FAILS(ENOSPC, ::open((tree / "f").c_str(), O_RDWR));
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "");
    CHECK(stat_of(tree.upper + "/f").st_blocks < 64);
    CHECK(read_file(tree / "f") == content);
    OK(::unlink((tree.upper + "/../filler").c_str()));
    OK(::close(OK(::open((tree / "f").c_str(), O_RDWR))));
    CHECK(read_file(tree / "f") == content);
    check_with_kernel(tree);
}

TEST_CASE("metacopy: a name without content does not keep the names beside it from being listed") {
    Layers tree;
    for (std::string name : {"a", "b", "c"}) write_file(tree.lower + "/" + name, name);
    write_file(tree.lower + "/broken", "");
    set_xattr(tree.lower + "/broken", kMetacopy, "");
    tree.mount();
    const std::vector<std::string> all{"a", "b", "broken", "c"};
    CHECK(list_dir(tree.mnt()) == all);
    const Ran listed = run({"ls", "-l", tree.mnt()});
    for (std::string name : {"a", "b", "c", "broken"}) CHECK(listed.out.find(" " + name + "\n") != std::string::npos);
    CHECK(listed.err.find("reading directory") == std::string::npos);
    FAILS(EIO, ::access((tree / "broken").c_str(), F_OK));
}

TEST_CASE("data-only layers: content for metacopies that redirect to it, and nothing else") {
    Layers tree;
    const std::string content = pattern(100000);
    make_dirs(tree.lower2 + "/store/ab");
    write_file(tree.lower2 + "/store/ab/blob", content);
    write_file(tree.lower2 + "/not_listed", "x");
    write_file(tree.lower + "/f", "");
    OK(::truncate((tree.lower + "/f").c_str(), static_cast<off_t>(content.size())));
    set_xattr(tree.lower + "/f", kMetacopy, "");
    set_xattr(tree.lower + "/f", kRedirect, "/store/ab/blob");
    Mount mount("lowerdir=" + tree.lower + "::" + tree.lower2 + ",upperdir=" + tree.upper + ",workdir=" + tree.work, "",
                tree.mnt());
    CHECK(list_dir(tree.mnt()) == std::vector<std::string>{"f"});
    CHECK(read_file(tree / "f") == content);
    write_fd(open_file(tree / "f", O_WRONLY).get(), "Y", 0);
    CHECK(read_file(tree / "f") == "Y" + content.substr(1));
    CHECK(read_file(tree.lower2 + "/store/ab/blob") == content);
    mount.unmount();
}

TEST_CASE("metacopy: a name of a hard-linked lower goes, and the others count without it after a new mount") {
    Layers tree;
    write_file(tree.lower + "/one", "x");
    for (const char* name : {"two", "three"})
        OK(::link((tree.lower + "/one").c_str(), (tree.lower + "/" + name).c_str()));
    write_file(tree.lower + "/other", "other");
    tree.mount("metacopy=on,index=on");
    OK(::unlink((tree / "one").c_str()));
    CHECK(stat_of(tree / "two").st_nlink == 2);
    tree.unmount();
    tree.mount("metacopy=on,index=on");
    CHECK(stat_of(tree / "two").st_nlink == 2);
    OK(::rename((tree / "other").c_str(), (tree / "two").c_str()));
    tree.unmount();
    tree.mount("metacopy=on,index=on");
    CHECK(stat_of(tree / "three").st_nlink == 1);
    CHECK(read_file(tree / "three") == "x");
    CHECK(read_file(tree / "two") == "other");
}

// Marks in all forms, read from layers that others made and written for others to read: the kernel's overlayfs,
// fuse-overlayfs, and overlays stacked on a mount of ours. tests/unit/ops/formats_test.cpp has the operations.
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

using List = std::vector<std::string>;

void whiteout(const std::string& dir, const std::string& name, const std::string& form) {
    if (form == "device") {
        OK(::mknod((dir + "/" + name).c_str(), S_IFCHR | 0600, makedev(0, 0)));
    } else if (form == "aufs") {
        write_file(dir + "/.wh." + name, "");
    } else {
        write_file(dir + "/" + name, "");
        set_xattr(dir + "/" + name, form + ".overlay.whiteout", "y");
        set_xattr(dir, form + ".overlay.opaque", "x");
    }
}

void opaque(const std::string& dir, const std::string& form) {
    if (form == "aufs")
        write_file(dir + "/.wh..wh..opq", "");
    else
        set_xattr(dir, form + ".opaque", "y");
}

const List kWhiteouts = {"device", "aufs", "trusted", "user"};
const List kOpaques = {"aufs", "trusted.overlay", "user.overlay", "user.fuseoverlayfs"};

TreeDigest look(const std::string& root) {
    return TreeDigest::of(root, {.identity = false, .dir_details = false, .trusted = false, .mtimes = false});
}

// What containers do to their layers, in short.
void change(const std::string& root) {
    OK(::unlink((root + "/d/file").c_str()));
    must_run({"rm", "-r", root + "/d/sub", root + "/top"});
    make_dirs(root + "/d/sub");
    make_dirs(root + "/top");
    write_file(root + "/top/new", "new");
    must_run({"mv", root + "/d/other", root + "/moved"});
    write_file(root + "/d/file", "again");
    OK(::unlink((root + "/d/gone").c_str()));
    must_run({"mv", root + "/dir", root + "/d/dir"});
}

void fill(Layers& tree) {
    for (const std::string& root : {tree.lower, tree.lower2}) {
        for (const char* dir : {"/d/sub/deep", "/top", "/dir/in"}) make_dirs(root + dir);
        for (const char* name : {"/d/file", "/d/gone", "/d/other", "/d/sub/s", "/d/sub/deep/x", "/top/t", "/dir/in/i"})
            write_file(root + name, root + name);
    }
}

}  // namespace

TEST_CASE("formats: each form of a whiteout in each layer, for files and directories, at the root and below") {
    Layers tree;
    const List places = {"", "/a", "/a/b/c"};
    const List layers = {tree.upper, tree.lower, tree.lower2};
    for (const std::string& place : places) {
        for (std::size_t i = 0; i < layers.size(); ++i) {
            make_dirs(layers[i] + place);
            for (const std::string& form : kWhiteouts) {
                // Hidden in layer i; what the layers below have is "f-..." and "d-...".
                const std::string name = form + std::to_string(i);
                whiteout(layers[i] + place, "f-" + name, form);
                whiteout(layers[i] + place, "d-" + name, form);
                for (std::size_t below = i + 1; below < layers.size(); ++below) {
                    make_dirs(layers[below] + place + "/d-" + name);
                    write_file(layers[below] + place + "/d-" + name + "/x", "x");
                    write_file(layers[below] + place + "/f-" + name, "f");
                }
            }
        }
        write_file(tree.lower2 + place + "/seen", "seen");
    }
    for (const char* options : {"", "upper-format=aufs"}) {
        tree.mount(options);
        CHECK(list_dir(tree.mnt()) == List{"a", "seen"});
        CHECK(list_dir(tree / "a") == List{"b", "seen"});
        CHECK(list_dir(tree / "a/b/c") == List{"seen"});
        for (const std::string& place : places) {
            for (const std::string& form : kWhiteouts) {
                for (const char* kind : {"/f-", "/d-", "/.wh.f-"}) {
                    for (std::size_t i = 0; i < layers.size(); ++i)
                        CHECK_FALSE(exists(tree.mnt() + place + kind + form + std::to_string(i)));
                }
            }
        }
        tree.unmount();
    }
    tree.mount();
    List made = {"seen"};
    for (const std::string& form : kWhiteouts) {
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const std::string name = form + std::to_string(i);
            write_file(tree / ("a/b/c/f-" + name), "new");
            OK(::mkdir((tree / ("a/b/c/d-" + name)).c_str(), 0755));
            made.push_back("f-" + name);
            made.push_back("d-" + name);
        }
    }
    std::sort(made.begin(), made.end());
    for (int round = 0; round < 2; ++round) {
        CHECK(list_dir(tree / "a/b/c") == made);
        for (const std::string& name : made) {
            if (name[0] == 'd') CHECK(list_dir(tree / ("a/b/c/" + name)).empty());
            if (name[0] == 'f') CHECK(read_file(tree / ("a/b/c/" + name)) == "new");
            CHECK_FALSE(exists(tree.upper + "/a/b/c/.wh." + name));
        }
        tree.unmount();
        tree.mount();
    }
}

TEST_CASE("formats: each form of an opaque directory in each layer, and AUFS' at the root of one") {
    Layers tree;
    const List layers = {tree.upper, tree.lower, tree.lower2};
    for (const std::string& form : kOpaques) {
        for (std::size_t i = 0; i < layers.size(); ++i) {
            for (const std::string& dir : {"/" + form + std::to_string(i), "/deep/er/" + form + std::to_string(i)}) {
                for (std::size_t layer = 0; layer < layers.size(); ++layer) {
                    make_dirs(layers[layer] + dir);
                    write_file(layers[layer] + dir + "/" + std::to_string(layer), "x");
                }
                opaque(layers[i] + dir, form);
            }
        }
    }
    tree.mount();
    for (const std::string& form : kOpaques) {
        for (std::size_t i = 0; i < layers.size(); ++i) {
            List want;
            for (std::size_t layer = 0; layer <= i; ++layer) want.push_back(std::to_string(layer));
            CHECK(list_dir(tree / (form + std::to_string(i))) == want);
            CHECK(list_dir(tree / ("deep/er/" + form + std::to_string(i))) == want);
        }
    }
    tree.unmount();
    write_file(tree.lower + "/.wh..wh..opq", "");
    write_file(tree.lower + "/top", "x");
    write_file(tree.lower2 + "/bottom", "x");
    tree.mount();
    CHECK(exists(tree / "top"));
    CHECK_FALSE(exists(tree / "bottom"));
    CHECK_FALSE(exists(tree / ".wh..wh..opq"));
}

TEST_CASE("formats: what is written is what others read") {
    need_privilege("trusted.* attributes");
    struct Row {
        std::string ours, reader, theirs;
    };
    for (const Row& row : {Row{"upper-format=overlay", "overlay", ",redirect_dir=on"},
                           {"upper-format=overlay-user,redirect_dir=off", "overlay", ",userxattr"},
                           {"userxattr,redirect_dir=off", "overlay", ",userxattr"},
                           {"upper-format=aufs", "fuse-overlayfs", ""}}) {
        INFO(row.ours);
        Layers tree;
        fill(tree);
        tree.mount(row.ours);
        change(tree.mnt());
        const auto want = look(tree.mnt());
        tree.unmount();
        tree.mount(row.ours);
        CHECK(look(tree.mnt()).difference(want) == "");
        tree.unmount();
        CHECK(list_dir(tree.work + "/work").empty());
        const bool aufs = row.reader == "fuse-overlayfs";
        CHECK(exists(tree.upper + "/d/.wh.gone") == aufs);
        CHECK(exists(tree.upper + "/top/.wh..wh..opq") == aufs);
        CHECK(exists(tree.upper + "/d/gone") == !aufs);
        if (!aufs) {
            CHECK((get_xattr(tree.upper + "/top", "user.overlay.opaque") == "y") == (row.theirs == ",userxattr"));
            Mounted overlay("overlay", tree.mnt(), "overlay", 0, tree.options() + row.theirs);
            CHECK(look(tree.mnt()).difference(want) == "");
        } else if (have_tool(row.reader)) {
            FuseOverlayfs other(tree.options(), tree.mnt());
            CHECK(look(tree.mnt()).difference(want) == "");
        } else {
            MESSAGE("fuse-overlayfs is not installed");
        }
    }
}

TEST_CASE("formats: an upper that fuse-overlayfs wrote, by us, and back") {
    if (!have_tool("fuse-overlayfs")) skip("fuse-overlayfs is not installed");
    for (bool devices : {true, false}) {
        CAPTURE(devices);
        Layers tree;
        fill(tree);
        tree.mount();  // takes the digest of the lowers
        tree.unmount();
        ::setenv("FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT", "1", 1);
        if (devices) ::unsetenv("FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT");
        TreeDigest want;
        {
            FuseOverlayfs other(tree.options(), tree.mnt());
            change(tree.mnt());
            want = look(tree.mnt());
        }
        ::unsetenv("FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT");
        tree.mount(devices ? "" : "upper-format=aufs");
        CHECK(look(tree.mnt()).difference(want) == "");
        write_file(tree / "d/gone", "back");
        must_run({"rm", "-r", tree / "top"});
        OK(::unlink((tree / "d/file").c_str()));
        want = look(tree.mnt());
        tree.unmount();
        CHECK_FALSE(exists(tree.upper + "/d/.wh.gone"));
        FuseOverlayfs other(tree.options(), tree.mnt());
        CHECK(look(tree.mnt()).difference(want) == "");
    }
}

TEST_CASE("formats: in an upper without devices whiteouts are attributes, and the mount below shows none") {
    need_privilege("trusted.* attributes");
    Layers inner;
    write_file(inner.lower + "/x", "x");
    inner.mount();
    const LoopFs disk("ext4", inner.scratch().path(), "outer", 64);
    const std::string lower = disk.dir("lower"), mnt = inner.scratch().dir("outer-mnt");
    make_dirs(lower + "/d");
    for (const char* name : {"/d/f", "/d/g", "/h"}) write_file(lower + name, "lower");
    make_dirs(inner / "upper");
    make_dirs(inner / "work");
    const std::string options = "lowerdir=" + lower + ",upperdir=" + (inner / "upper") + ",workdir=" + (inner / "work");
    for (int round = 0; round < 2; ++round) {
        Mount outer(options, "", mnt);
        if (round == 0) {
            OK(::unlink((outer / "d/f").c_str()));
            OK(::rename((outer / "h").c_str(), (outer / "d/h").c_str()));
            must_run({"rm", "-r", outer / "d"});
            OK(::mkdir((outer / "d").c_str(), 0755));
            write_file(outer / "d/n", "n");
        }
        CHECK(list_dir(mnt) == List{"d"});
        CHECK(list_dir(outer / "d") == List{"n"});
    }
    CHECK(get_xattr(inner / "upper/h", "trusted.overlay.whiteout") == "y");
    CHECK(get_xattr(inner / "upper", "trusted.overlay.opaque") == "x");
    CHECK(get_xattr(inner / "upper/d", "trusted.overlay.opaque") == "y");
    CHECK(get_xattr(inner.upper + "/upper/h", "trusted.overlay.overlay.whiteout") == "y");
    // The kernel reads them in a layer, through us and on the disk.
    const std::string over = inner.scratch().dir("over");
    Mounted overlay("overlay", over, "overlay", 0, "lowerdir=" + (inner / "upper") + ":" + lower);
    CHECK(list_dir(over) == List{"d"});
    CHECK(list_dir(over + "/d") == List{"n"});
}

TEST_CASE("formats: the longest names, with every form that has room for their whiteouts") {
    need_privilege("trusted.* attributes");
    const std::string name(255, 'n'), fits(251, 'm');
    for (const char* options : {"upper-format=overlay", "upper-format=overlay-user", "upper-format=aufs"}) {
        CAPTURE(std::string(options));
        Layers tree;
        make_dirs(tree.lower + "/d");
        for (const std::string& each : {name, fits}) write_file(tree.lower + "/d/" + each, "lower");
        tree.mount(options);
        OK(::unlink((tree / ("d/" + fits)).c_str()));
        if (std::string(options) == "upper-format=aufs") {
            FAILS(ENAMETOOLONG, ::unlink((tree / ("d/" + name)).c_str()));
            FAILS(ENAMETOOLONG, ::rename((tree / ("d/" + name)).c_str(), (tree / "d/short").c_str()));
            drop_caches();
            CHECK(list_dir(tree / "d") == List{name});
            CHECK(list_dir(tree.upper + "/d") == List{".wh." + fits});
            write_file(tree / ("d/" + name), "changed");
        } else {
            OK(::rename((tree / ("d/" + name)).c_str(), (tree / "d/short").c_str()));
            write_file(tree / ("d/" + name), "changed");
            OK(::unlink((tree / "d/short").c_str()));
        }
        drop_caches();
        CHECK(list_dir(tree / "d") == List{name});
        CHECK(read_file(tree / ("d/" + name)) == "changed");
    }
}

TEST_CASE("formats: a format that the upper can not hold is refused, and names of marks are not given out") {
    need_privilege("trusted.* attributes");
    Layers tree;
    write_file(tree.lower + "/f", "f");
    tree.mount("upper-format=overlay");
    FAILS(EINVAL, ::open((tree / ".wh.f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    FAILS(EINVAL, ::rename((tree / "f").c_str(), (tree / ".wh.g").c_str()));
    FAILS(ENOENT, ::access((tree / ".wh.f").c_str(), F_OK));
    FAILS(EPERM, ::mknod((tree / "w").c_str(), S_IFCHR | 0600, makedev(0, 0)));
    CHECK(list_dir(tree.mnt()) == List{"f"});
    tree.unmount();
    Ran ran = run_plyfs({"-o", tree.options() + ",upper-format=overlay,userxattr", tree.mnt()});
    CHECK_FALSE(ran.ok());
    CHECK(ran.err.find("upper-format=overlay") != std::string::npos);
}

TEST_CASE("formats: a full upper directory is written as it was before, and its index is read") {
    Layers tree;
    write_file(tree.lower + "/a", "old");
    OK(::link((tree.lower + "/a").c_str(), (tree.lower + "/b").c_str()));
    write_file(tree.lower + "/gone", "x");
    tree.mount();
    write_file(tree / "a", "new");
    tree.unmount();
    const std::string filler = tree.upper + "/../filler";
    {
        UniqueFd fd = open_file(filler, O_CREAT | O_WRONLY | O_APPEND);
        const std::string block(4096, 'x');
        while (::write(fd.get(), block.data(), block.size()) > 0) continue;
        CHECK(errno == ENOSPC);
    }
    if (::mkdir((tree.work + "/probe").c_str(), 0700) == 0) skip("a full file system makes directories here");
    tree.mount();
    CHECK(read_file(tree / "a") == "new");
    CHECK(read_file(tree / "b") == "new");
    OK(::unlink(filler.c_str()));
    OK(::unlink((tree / "gone").c_str()));
    CHECK(S_ISCHR(stat_of(tree.upper + "/gone").st_mode));
}

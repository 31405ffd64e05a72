// Where a file of a pool lies, and the two files by which a pool is asked and changed.
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

struct Ground {
    Ground() : a(scratch.dir("a")), b(scratch.dir("b")), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
    }
    std::string branches() const { return a + ":" + b; }
    Scratch scratch;
    std::string a, b, mnt;
};

int set_errno(const std::string& path, const std::string& name, const std::string& value) {
    return err_of(::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0));
}

int get_errno(const std::string& path, const std::string& name) {
    char value[4096];
    return ::getxattr(path.c_str(), name.c_str(), value, sizeof value) < 0 ? errno : 0;
}

}  // namespace

TEST_CASE("control: attributes tell where a file lies") {
    Ground g;
    make_dirs(g.a + "/d");
    make_dirs(g.b + "/d");
    write_file(g.a + "/d/both", "a");
    write_file(g.b + "/d/both", "b");
    write_file(g.b + "/d/one", "b");
    Mount mount("", g.branches(), g.mnt);
    const std::string nul(1, '\0');
    for (const std::string prefix : {"user.mergerfs.", "user.plyfs."}) {
        CAPTURE(prefix);
        CHECK(get_xattr(mount / "d/both", prefix + "basepath") == g.a);
        CHECK(get_xattr(mount / "d/both", prefix + "relpath") == "/d/both");
        CHECK(get_xattr(mount / "d/both", prefix + "fullpath") == g.a + "/d/both");
        CHECK(get_xattr(mount / "d/both", prefix + "allpaths") == g.a + "/d/both" + nul + g.b + "/d/both");
        CHECK(get_xattr(mount / "d/one", prefix + "fullpath") == g.b + "/d/one");
        CHECK(get_xattr(mount / "d/one", prefix + "allpaths") == g.b + "/d/one");
        CHECK(get_xattr(mount / "d", prefix + "allpaths") == g.a + "/d" + nul + g.b + "/d");
        CHECK(get_xattr(g.mnt, prefix + "relpath") == "/");
        CHECK(get_xattr(g.mnt, prefix + "basepath") == g.a);
        CHECK(set_errno(mount / "d/one", prefix + "fullpath", "x") == EPERM);
    }
    CHECK(all_xattrs(mount / "d/both").empty());
    // Renamed, removed while open, and what a user calls something like it.
    OK(::rename((mount / "d/one").c_str(), (mount / "d/other").c_str()));
    CHECK(get_xattr(mount / "d/other", "user.mergerfs.fullpath") == g.b + "/d/other");
    UniqueFd open = open_file(mount / "d/other", O_RDONLY);
    OK(::unlink((mount / "d/other").c_str()));
    char value[64];
    FAILS(ENODATA, ::fgetxattr(open.get(), "user.mergerfs.fullpath", value, sizeof value));
    OK(::setxattr((mount / "d/both").c_str(), "user.mergerfs.mine", "x", 1, 0));
    CHECK(get_xattr(mount / "d/both", "user.mergerfs.mine") == "x");
}

TEST_CASE("control: a file in the root tells the options") {
    Ground g;
    write_file(g.a + "/.mergerfs", "a user's own");
    Mount mount(
        "category.create=mspmfs,func.mkdir=ff,minfreespace=1M,cache.attr=2,statfs_ignore=nc,inodecalc=path-hash",
        g.branches(), g.mnt);
    CHECK(list_dir(g.mnt).empty());
    for (const std::string name : {"/.mergerfs", "/.plyfs"}) {
        const auto st = lstat_of(g.mnt + name);
        CHECK(st.st_mode == (S_IFREG | 0664));
        CHECK(st.st_uid == 0);
        CHECK(st.st_gid == 0);
        CHECK(st.st_size == 0);
    }
    const std::string file = mount / ".mergerfs";
    auto value = [&](const std::string& name) { return get_xattr(file, "user.mergerfs." + name); };
    CHECK(value("func.create") == "mspmfs");
    CHECK(value("func.mkdir") == "ff");
    CHECK(value("category.create") == "mspmfs,ff");
    CHECK(value("category.action") == "epall");
    CHECK(value("minfreespace") == "1048576");
    CHECK(value("cache.attr") == "2");
    const bool watched = mount.stats().text("coherence") == "watch";
    CHECK(value("cache.entry") == (watched ? "60" : "1"));
    CHECK(value("statfs-ignore") == "nc");
    CHECK(value("inodecalc") == "path-hash");
    CHECK(value("branches") == g.a + "=RW:" + g.b + "=RW");
    CHECK(value("pid") == std::to_string(mount.pid()));
    CHECK(value("xattr") == "passthrough");
    CHECK(value("security_capability") == "true");
    CHECK(get_errno(file, "user.mergerfs.no_such") == ENODATA);
    CHECK(get_errno(file, "user.other") == ENODATA);
    const auto all = all_xattrs(file);
    CHECK(all.count("user.mergerfs.category.create") == 1);
    CHECK(all.count("user.mergerfs.branches") == 1);
    CHECK(all_xattrs(mount / ".plyfs").count("user.plyfs.minfreespace") == 1);
    // It is no file to be used as one, and the branch's own is not reached.
    CHECK(try_open(file, O_RDONLY) == EPERM);
    CHECK(try_open(file, O_CREAT | O_EXCL | O_WRONLY) == EEXIST);
    FAILS(EPERM, ::unlink(file.c_str()));
    FAILS(EPERM, ::rename(file.c_str(), (mount / "x").c_str()));
    FAILS(EPERM, ::link(file.c_str(), (mount / "linked").c_str()));
    FAILS(EPERM, ::truncate(file.c_str(), 0));
    FAILS(EPERM, ::chmod(file.c_str(), 0600));
    write_file(mount / "x", "x");
    FAILS(EPERM, ::rename((mount / "x").c_str(), file.c_str()));
    FAILS(EEXIST, ::link((mount / "x").c_str(), file.c_str()));
    CHECK(read_file(g.a + "/.mergerfs") == "a user's own");
    // Only in the root.
    make_dirs(mount / "d");
    write_file(mount / "d/.mergerfs", "mine");
    CHECK(list_dir(mount / "d") == std::vector<std::string>{".mergerfs"});
    CHECK(read_file(mount / "d/.mergerfs") == "mine");
}

TEST_CASE("control: what can be changed while mounted") {
    Ground g;
    Mount mount("create=ff,minfreespace=0,timeout=0", g.branches(), g.mnt);
    const std::string file = mount / ".mergerfs";
    write_file(mount / "one", "1");
    CHECK(exists(g.a + "/one"));
    make_dirs(g.b + "/d");
    CHECK(set_errno(file, "user.mergerfs.category.create", "epff") == 0);
    write_file(mount / "d/two", "2");
    CHECK(exists(g.b + "/d/two"));
    CHECK(get_xattr(file, "user.mergerfs.func.symlink") == "epff");
    CHECK(set_errno(file, "user.mergerfs.func.getattr", "newest") == 0);
    write_file(g.a + "/n", "old");
    const timespec old[2] = {{1000, 0}, {1000, 0}};
    OK(::utimensat(AT_FDCWD, (g.a + "/n").c_str(), old, 0));
    write_file(g.b + "/n", "new");
    CHECK(read_file(mount / "n") == "new");
    // Nothing has so much left.
    CHECK(set_errno(mount / ".plyfs", "user.plyfs.minfreespace", "100%") == 0);
    CHECK(get_xattr(file, "user.mergerfs.minfreespace") == "100%");
    CHECK(try_open(mount / "three", O_CREAT | O_WRONLY) == ENOSPC);
    CHECK(set_errno(file, "user.mergerfs.minfreespace", "0") == 0);
    CHECK(try_open(mount / "three", O_CREAT | O_WRONLY) == 0);
    CHECK(set_errno(file, "user.mergerfs.cache.entry", "7.5") == 0);
    CHECK(get_xattr(file, "user.mergerfs.cache.entry") == "7.5");
    CHECK(set_errno(file, "user.mergerfs.security-capability", "false") == 0);
    CHECK(get_errno(mount / "one", "security.capability") == ENODATA);

    CHECK(set_errno(file, "user.mergerfs.category.create", "no_such") == EINVAL);
    CHECK(set_errno(file, "user.mergerfs.minfreespace", "-1") == EINVAL);
    CHECK(set_errno(file, "user.mergerfs.export-support", "true") == EROFS);
    const int without_place = wanted_transport() == "io_uring" ? EROFS : EINVAL;  // rings can not be handed on
    CHECK(set_errno(file, "user.mergerfs.branches", "/x") == without_place);
    CHECK(set_errno(file, "user.mergerfs.pid", "1") == EROFS);
    CHECK(set_errno(file, "user.mergerfs.no_such", "1") == ENODATA);
    FAILS(EPERM, ::removexattr(file.c_str(), "user.mergerfs.minfreespace"));
    CHECK(get_xattr(file, "user.mergerfs.category.create") == "epff");
    const int denied = as_user({1000, 1000, {}}, [&] {
        return ::setxattr(file.c_str(), "user.mergerfs.minfreespace", "1", 1, 0) == 0 ? 0 : errno;
    });
    CHECK((denied == EACCES || denied == EPERM));
}

TEST_CASE("control: layers have none of this") {
    if (is_standin()) skip("about plyfs itself");
    Layers layers;
    write_file(layers.lower + "/.mergerfs", "of a layer");
    layers.mount();
    CHECK(read_file(layers / ".mergerfs") == "of a layer");
    CHECK(get_errno(layers / ".mergerfs", "user.mergerfs.fullpath") == ENODATA);
    CHECK_FALSE(exists(layers / ".plyfs"));
}

// Names made and removed.
#include <stdio.h>

#include "mount.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

using Names = std::set<std::string>;

std::string error_of(const Status& status) {
    return status ? "ok" : log::errno_text(status.error().value());
}

Status unlink(Mounted& mount, const std::string& dir, const char* name) {
    return ops::unlink(mount.ctx(), Mounted::request(), mount.id(dir), name_of(name));
}
Status rmdir(Mounted& mount, const std::string& dir, const char* name) {
    return ops::rmdir(mount.ctx(), Mounted::request(), mount.id(dir), name_of(name));
}

}  // namespace

TEST_CASE("names: a directory made where one was removed hides what is below") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    write_file(mount.at(1, "dir/old"), "old");
    mount.start();
    REQUIRE(unlink(mount, "dir", "old"));
    REQUIRE(rmdir(mount, "", "dir"));
    CHECK(is_whiteout(mount.at(0, "dir")));
    CHECK_FALSE(mount.shows("dir"));
    REQUIRE(mount.mkdir("", "dir"));
    CHECK(is_opaque(mount.at(0, "dir")));
    CHECK(mount.list("dir").empty());
    CHECK_FALSE(mount.shows("dir/old"));
    mount.create("dir", "new", "new");
    CHECK(mount.list("dir") == Names{"new"});
    mount.forget_all();
    CHECK(mount.list("dir") == Names{"new"});
    CHECK(read_file(mount.at(1, "dir/old")) == "old");
    CHECK(mount.work_is_empty());
}

TEST_CASE("names: everything can be made over a whiteout") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    for (const char* name : {"file", "symlink", "fifo", "link"}) write_file(mount.at(1, name), "old");
    mount.start();
    mount.create("", "target", "target");
    for (const char* name : {"file", "symlink", "fifo", "link"}) {
        REQUIRE(unlink(mount, "", name));
        CHECK(is_whiteout(mount.at(0, name)));
    }
    mount.create("", "file", "new");
    auto symlink = ops::symlink(mount.ctx(), Mounted::request(), kRootId, name_of("symlink"), "target");
    auto fifo = ops::mknod(mount.ctx(), Mounted::request(), kRootId, name_of("fifo"), S_IFIFO | 0600, 0);
    auto link = ops::link(mount.ctx(), Mounted::request(), mount.id("target"), kRootId, name_of("link"));
    REQUIRE((symlink && fifo && link));
    for (const auto& entry : {*symlink, *fifo, *link}) mount.told.insert(entry.id);
    CHECK(mount.read("file") == "new");
    CHECK(ops::readlink(mount.ctx(), mount.id("symlink")).value() == "target");
    CHECK(S_ISFIFO(mount.look("fifo")->attr.st.stx_mode));
    CHECK(mount.id("link") == mount.id("target"));
    CHECK(mount.read("link") == "target");
    CHECK(lstat_or_fail(mount.at(0, "target")).st_nlink == 2);
    CHECK(mount.work_is_empty());
}

TEST_CASE("names: a whiteout is left exactly where something read-only would come back") {
    PLYFS_NEEDS_ROOT();
    struct Row {
        const char* name;
        bool upper, lower, whiteout;
    };
    const Row rows[] = {
        {"only-upper", true, false, false}, {"only-lower", false, true, true}, {"both", true, true, true}};
    for (bool known : {true, false}) {
        Mounted mount("wr");
        for (const Row& row : rows) {
            if (row.upper) write_file(mount.at(0, row.name), "upper");
            if (row.lower) write_file(mount.at(1, row.name), "lower");
        }
        mount.start();
        for (const Row& row : rows) {
            INFO(std::string(row.name));
            if (known) mount.id(row.name);
            REQUIRE(unlink(mount, "", row.name));
            CHECK(is_whiteout(mount.at(0, row.name)) == row.whiteout);
            CHECK(exists(mount.at(0, row.name)) == row.whiteout);
            CHECK_FALSE(mount.shows(row.name));
            CHECK(unlink(mount, "", row.name).failed_with(ENOENT));
            if (row.lower) CHECK(read_file(mount.at(1, row.name)) == "lower");
        }
        CHECK(mount.list("").empty());
        CHECK(mount.work_is_empty());
    }
}

TEST_CASE("names: a pool removes every copy") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("www", World::Kind::pool);
    for (int i : {0, 1, 2}) write_file(mount.at(i, "file"), std::to_string(i));
    for (int i : {1, 2}) make_dir(mount.at(i, "dir"));
    write_file(mount.at(2, "dir/inside"), "x");
    mount.start();
    CHECK(mount.read("file") == "0");
    REQUIRE(unlink(mount, "", "file"));
    CHECK(rmdir(mount, "", "dir").failed_with(ENOTEMPTY));
    REQUIRE(unlink(mount, "dir", "inside"));
    REQUIRE(rmdir(mount, "", "dir"));
    for (int i : {0, 1, 2}) {
        CHECK_FALSE(exists(mount.at(i, "file")));
        CHECK_FALSE(exists(mount.at(i, "dir")));
    }
}

TEST_CASE("names: wrong kinds and missing names") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    write_file(mount.at(1, "dir/inside"), "x");
    write_file(mount.at(1, "file"), "x");
    mount.start();
    CHECK(unlink(mount, "", "dir").failed_with(EISDIR));
    CHECK(rmdir(mount, "", "file").failed_with(ENOTDIR));
    CHECK(rmdir(mount, "", "dir").failed_with(ENOTEMPTY));
    CHECK(unlink(mount, "", "missing").failed_with(ENOENT));
    CHECK(rmdir(mount, "", "missing").failed_with(ENOENT));
    CHECK(ops::mknod(mount.ctx(), Mounted::request(), kRootId, name_of("whiteout"), S_IFCHR, 0).failed_with(EPERM));
    CHECK(names_in(mount.at(0, "")).empty());
    write_file(mount.at(0, "there"), "x");
    CHECK(mount.mkdir("", "there").failed_with(EEXIST));
    auto made =
        ops::create(mount.ctx(), Mounted::request(), kRootId, name_of("there"), O_WRONLY | O_CREAT | O_EXCL, 0644);
    CHECK(made.failed_with(EEXIST));
}

TEST_CASE(
    "names: create of a file that came to be on a branch meanwhile is for another walk, but for the maker's own") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("ww", World::Kind::pool);
    mount.start();
    for (const int branch : {0, 1}) {
        const std::string name = "file" + std::to_string(branch);
        write_file(mount.at(branch, name), "was here");
        auto request = Mounted::request();
        const auto create = [&] {
            return ops::create(mount.ctx(), request, kRootId, name_of(name.c_str()), O_RDWR | O_CREAT, 0644);
        };
        CHECK(create().failed_with(ESTALE));
        request.resent = true;
        auto own = create();
        REQUIRE(own);
        mount.told.insert(own->entry.id);
        CHECK(mount.read(*own->opened.handle) == "was here");
        ops::release(mount.ctx(), own->opened.handle);
        request.caller.uid = 1000;
        CHECK(create().failed_with(ESTALE));
    }
}

TEST_CASE("names: a new name goes to the next branch where the first has no room") {
    PLYFS_NEEDS_ROOT();
    if (!own_mount_namespace()) {
        MESSAGE("skipped: no mount namespace here");
        return;
    }
    for (const char* what : {"file", "directory", "in a directory"}) {
        INFO(std::string(what));
        Mounted mount("ww", World::Kind::pool);
        const std::string small = mount.at(0, "");
        REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, "nr_inodes=20,size=1m") == 0);
        make_dir(mount.at(1, "dir"));
        mount.start();
        mount.tree().set().at(0).space();  // as it was a moment ago
        for (int i = 0; i < 20; ++i) ::mknod((small + "/fill" + std::to_string(i)).c_str(), S_IFREG, 0);
        REQUIRE(::mknod((small + "/one-more").c_str(), S_IFREG, 0) != 0);
        if (std::string_view(what) == "file") {
            mount.create("", "new", "text");
            CHECK(read_file(mount.at(1, "new")) == "text");
            CHECK(mount.read("new") == "text");
        } else if (std::string_view(what) == "directory") {
            REQUIRE(mount.mkdir("", "new"));
            CHECK(exists(mount.at(1, "new")));
        } else {
            mount.create("dir", "new", "text");
            CHECK(read_file(mount.at(1, "dir/new")) == "text");
            CHECK_FALSE(exists(mount.at(0, "dir")));
        }
        mount.forget_all();
        ::umount2(small.c_str(), MNT_DETACH);
    }
}

TEST_CASE("names: no branch has room") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("rr", World::Kind::pool);
    make_dir(mount.at(0, "dir"));
    write_file(mount.at(1, "file"), "x");
    mount.start();
    CHECK(mount.mkdir("", "new").failed_with(EROFS));
    CHECK(unlink(mount, "", "file").failed_with(EROFS));
    CHECK(rmdir(mount, "", "dir").failed_with(EROFS));
    CHECK(mount.rename("", "file", "", "other").failed_with(EROFS));
    CHECK(ops::open(mount.ctx(), Mounted::request(), mount.id("file"), O_RDWR).failed_with(EROFS));
}

TEST_CASE("names: those a pool keeps for itself") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("ww", World::Kind::pool);
    make_dir(mount.at(0, ".plyfs.work"));
    make_dir(mount.at(0, "dir"));
    mount.start();
    CHECK_FALSE(mount.shows(".plyfs.work"));
    CHECK(mount.list("") == Names{"dir"});
    CHECK(mount.mkdir("", ".plyfs.work").failed_with(EPERM));
    CHECK(mount.mkdir("", ".plyfs.anything").failed_with(EPERM));
    CHECK(rmdir(mount, "", ".plyfs.work").failed_with(ENOENT));
    CHECK(mount.rename("", "dir", "", ".plyfs.x").failed_with(EPERM));
    // Elsewhere the name is anybody's.
    CHECK(mount.mkdir("dir", ".plyfs.work"));
    CHECK(mount.shows("dir/.plyfs.work"));
}

TEST_CASE("names: a whiteout on a writable branch above goes when the name is made on a lower one") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wwr");
    write_file(mount.at(2, "file"), "lower");
    make_whiteout(mount.at(0, "file"));
    mount.start();
    CHECK_FALSE(mount.shows("file"));
    mount.create("", "file", "new");
    CHECK(mount.read("file") == "new");
    REQUIRE(unlink(mount, "", "file"));
    CHECK_FALSE(mount.shows("file"));
    CHECK(read_file(mount.at(2, "file")) == "lower");
}

TEST_CASE("names: a part of a directory that somebody makes anew on its branch is seen") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("ww", World::Kind::pool);
    for (int i : {0, 1}) {
        make_dir(mount.at(i, "dir"));
        write_file(mount.at(i, "dir/file" + std::to_string(i)), "old");
    }
    mount.start();
    CHECK(mount.list("dir") == Names{"file0", "file1"});
    const NodeId id = mount.id("dir");
    REQUIRE(::unlink(mount.at(1, "dir/file1").c_str()) == 0);
    REQUIRE(::rmdir(mount.at(1, "dir").c_str()) == 0);
    bool looked_between = false;
    SUBCASE("with a look in between") {
        looked_between = true;
    }
    SUBCASE("at once") {}
    if (looked_between) CHECK(mount.list("dir") == Names{"file0"});
    make_dir(mount.at(1, "dir"));
    write_file(mount.at(1, "dir/file2"), "new");
    SUBCASE("by its list") {
        CHECK(mount.list("dir") == Names{"file0", "file2"});
        CHECK(mount.read("dir/file2") == "new");
    }
    SUBCASE("by a name in it") {
        CHECK(mount.read("dir/file2") == "new");
    }
    CHECK(mount.id("dir") == id);
}

TEST_CASE("names: a removed directory has no entries and takes no new ones") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    mount.start();
    const NodeId id = mount.id("dir");
    REQUIRE(rmdir(mount, "", "dir"));
    CHECK(ops::lookup(mount.ctx(), id, name_of("x")).failed_with(ENOENT));
    CHECK(error_of(ops::unlink(mount.ctx(), Mounted::request(), id, name_of("x"))) == log::errno_text(ENOENT));
    CHECK(ops::mkdir(mount.ctx(), Mounted::request(), id, name_of("x"), 0755).failed_with(ENOENT));
    CHECK(ops::getattr(mount.ctx(), id));
    CHECK(names_in(mount.at(1, "dir")).empty());
    CHECK(is_whiteout(mount.at(0, "dir")));
}

TEST_CASE(
    "names: a directory whose upper part is removed behind our back leads to the lower one, and leaves no key behind") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    write_file(mount.at(1, "dir/lower"), "lower");
    mount.start();
    const NodeId id = mount.id("dir");
    ops::AttrChange change;
    change.mode = 0700;
    REQUIRE(ops::setattr(mount.ctx(), Mounted::request(), id, change));
    const auto key = sys::key_of(sys::stat_at(open_dir(mount.at(0, "")), name_of("dir")).value());
    CHECK(mount.tree().nodes().find(key));
    // Moved away, so that the object itself lives on.
    REQUIRE(::rename(mount.at(0, "dir").c_str(), (mount.scratch / "kept").c_str()) == 0);
    CHECK(mount.id("dir") == id);
    CHECK(mount.list("dir") == Names{"lower"});
    CHECK_FALSE(mount.tree().nodes().find(key));
    mount.forget_all();
    CHECK_FALSE(mount.tree().nodes().find(key));
    // And back: another node by now.
    REQUIRE(::rename((mount.scratch / "kept").c_str(), mount.at(0, "dir").c_str()) == 0);
    CHECK((mount.look("dir")->attr.st.stx_mode & 07777) == 0700);
    CHECK(mount.list("dir") == Names{"lower"});
}

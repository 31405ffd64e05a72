#include <stdio.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "mount.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("rename: files over a read-only branch") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    for (const char* name : {"lower", "target", "gone"}) write_file(mount.at(1, name), std::string("lower ") + name);
    make_dir(mount.at(1, "dir"));
    mount.start();
    const NodeId id = mount.id("lower");
    const auto inode = ops::getattr(mount.ctx(), id)->st.stx_ino;

    REQUIRE(mount.rename("", "lower", "dir", "moved"));
    CHECK(is_whiteout(mount.at(0, "lower")));
    CHECK_FALSE(mount.shows("lower"));
    CHECK(mount.read("dir/moved") == "lower lower");
    CHECK(mount.id("dir/moved") == id);
    CHECK(ops::getattr(mount.ctx(), id)->st.stx_ino == inode);

    // Over a lower file, which somebody has open.
    const NodeId target = mount.id("target");
    auto held = ops::open(mount.ctx(), Mounted::request(), target, O_RDONLY);
    REQUIRE(held);
    REQUIRE(mount.rename("dir", "moved", "", "target"));
    CHECK(mount.read("target") == "lower lower");
    CHECK(mount.id("target") == id);
    CHECK(mount.read(*held->handle) == "lower target");
    CHECK(ops::getattr(mount.ctx(), target)->st.stx_nlink == 0);
    ops::release(mount.ctx(), held->handle);
    CHECK_FALSE(exists(mount.at(0, "dir/moved")));

    // Over a whiteout.
    REQUIRE(ops::unlink(mount.ctx(), Mounted::request(), kRootId, name_of("gone")));
    REQUIRE(mount.rename("", "target", "", "gone"));
    CHECK(mount.read("gone") == "lower lower");
    CHECK(is_whiteout(mount.at(0, "target")));
    CHECK(mount.list("") == Names{"dir", "gone"});
    mount.forget_all();
    CHECK(mount.list("") == Names{"dir", "gone"});
    CHECK(mount.read("gone") == "lower lower");
    for (const char* name : {"lower", "target", "gone"})
        CHECK(read_file(mount.at(1, name)) == std::string("lower ") + name);
    CHECK(mount.work_is_empty());
}

TEST_CASE("rename: errors") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    for (const char* dir : {"merged", "lower-dir", "full"}) make_dir(mount.at(1, dir));
    make_dir(mount.at(0, "merged"));
    make_dir(mount.at(0, "upper-dir"));
    write_file(mount.at(1, "full/inside"), "x");
    write_file(mount.at(1, "file"), "x");
    mount.start();
    struct Row {
        const char* from;
        const char* to;
        unsigned flags;
        int error;
    };
    const Row rows[] = {
        {"missing", "x", 0, ENOENT},
        {"merged", "x", 0, EXDEV},
        {"lower-dir", "x", 0, EXDEV},
        {"upper-dir", "full", 0, ENOTEMPTY},
        {"file", "merged", RENAME_NOREPLACE, EEXIST},
        {"file", "missing", RENAME_EXCHANGE, ENOENT},
        {"file", "merged", RENAME_EXCHANGE, EXDEV},
    };
    for (const Row& row : rows) {
        INFO(row.from << std::string(" to ") << row.to);
        CHECK(mount.rename("", row.from, "", row.to, row.flags).failed_with(row.error));
    }
    CHECK(mount.list("") == Names{"merged", "lower-dir", "full", "file", "upper-dir"});
    CHECK(mount.list("full") == Names{"inside"});
    CHECK(mount.work_is_empty());
}

TEST_CASE("rename: directories over whiteouts, empty directories and what is below them") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    for (const char* dir : {"removed", "emptied", "empty"}) make_dir(mount.at(1, dir));
    for (const char* file : {"removed/old", "emptied/old"}) write_file(mount.at(1, file), "old");
    mount.start();
    REQUIRE(ops::unlink(mount.ctx(), Mounted::request(), mount.id("removed"), name_of("old")));
    REQUIRE(ops::rmdir(mount.ctx(), Mounted::request(), kRootId, name_of("removed")));
    REQUIRE(ops::unlink(mount.ctx(), Mounted::request(), mount.id("emptied"), name_of("old")));
    for (const char* to : {"removed", "emptied", "empty"}) {
        INFO(std::string(to));
        REQUIRE(mount.mkdir("", "new"));
        mount.create("new", "inside", to);
        const NodeId id = mount.id("new");
        CHECK(mount.rename("", "new", "", to));
        CHECK(mount.id(to) == id);
        CHECK_FALSE(exists(mount.at(0, "new")));
        CHECK(mount.list(to) == Names{"inside"});
        CHECK(mount.read(std::string(to) + "/inside") == to);
        CHECK(is_opaque(mount.at(0, to)));
    }
    mount.forget_all();
    for (const char* to : {"removed", "emptied", "empty"}) CHECK(mount.list(to) == Names{"inside"});
    CHECK(read_file(mount.at(1, "emptied/old")) == "old");
    CHECK(mount.work_is_empty());
}

TEST_CASE("rename: a directory that moves takes its subtree along, also in the cache") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    mount.start();
    REQUIRE(mount.mkdir("", "a"));
    REQUIRE(mount.mkdir("a", "b"));
    mount.create("a/b", "file", "text");
    REQUIRE(mount.mkdir("", "elsewhere"));
    const NodeId file = mount.id("a/b/file");
    REQUIRE(mount.rename("", "a", "elsewhere", "c"));
    CHECK(mount.read("elsewhere/c/b/file") == "text");
    CHECK(mount.id("elsewhere/c/b/file") == file);
    CHECK(ops::getattr(mount.ctx(), file));
    CHECK_FALSE(mount.shows("a"));
    // Another directory with the old name is another directory.
    REQUIRE(mount.mkdir("", "a"));
    REQUIRE(mount.mkdir("a", "b"));
    mount.create("a/b", "file", "another");
    CHECK(mount.read("a/b/file") == "another");
    CHECK(mount.read("elsewhere/c/b/file") == "text");
}

TEST_CASE("rename: one that fails leaves the target as it was known") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(0, "dir"));
    make_dir(mount.at(0, "dir/inside"));
    mount.start();
    const NodeRef target = mount.tree().nodes().find(mount.id("dir/inside"));
    CHECK(mount.rename("", "dir", "dir", "inside").failed_with(EINVAL));
    // An object with a name is found by it, not by a descriptor that a copy-up would leave behind.
    CHECK_FALSE(LockedNode(*target)->pinned.valid());
    CHECK(mount.shows("dir/inside"));
}

TEST_CASE("rename: the thread that reads requests does not wait for a copy-up") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "file"), "text");
    write_file(mount.at(0, "other"), "other");
    mount.start();
    const NodeRef node = mount.tree().nodes().find(mount.id("file"));
    LockedNode(*node)->copying = true;
    std::thread copy([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        LockedNode(*node)->copying = false;
        mount.tree().copy_condition(*node).notify_all();
    });
    ops::Request request = Mounted::request();
    request.may_block = false;
    const auto renamed = ops::rename(mount.ctx(), request, kRootId, name_of("other"), kRootId, name_of("file"), 0);
    const auto removed = ops::unlink(mount.ctx(), request, kRootId, name_of("file"));
    copy.join();
    CHECK(renamed.failed_with(EINPROGRESS));
    CHECK(removed.failed_with(EINPROGRESS));
    CHECK(mount.read("file") == "text");
    CHECK(mount.list("") == Names{"file", "other"});
}

TEST_CASE("rename: a directory is found while it moves from one parent to another") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("ww", World::Kind::pool);
    for (int i : {0, 1}) {
        for (const char* dir : {"one", "two", "one/dir"}) make_dir(mount.at(i, dir));
    }
    mount.start();
    const NodeRef node = mount.tree().nodes().find(mount.id("one/dir"));
    const NodeId one = mount.id("one"), two = mount.id("two");
    std::atomic<bool> done{false};
    std::atomic<int> lost{0};
    std::thread finder([&] {
        while (!done) {
            mount.tree().dirs().drop(*node);
            if (!mount.tree().dir_on(node, 0)) ++lost;
        }
    });
    int failed = 0;
    for (int i = 0; i < 3000; ++i) {
        const auto request = Mounted::request();
        if (!ops::rename(mount.ctx(), request, i % 2 ? two : one, name_of("dir"), i % 2 ? one : two, name_of("dir"), 0))
            ++failed;
    }
    done = true;
    finder.join();
    CHECK(failed == 0);
    CHECK(lost == 0);
}

TEST_CASE("rename: exchange") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "one"), "one");
    write_file(mount.at(0, "two"), "two");
    make_dir(mount.at(1, "two"));  // hidden by the file
    write_file(mount.at(1, "two/hidden"), "x");
    mount.start();
    REQUIRE(mount.mkdir("", "dir"));
    mount.create("dir", "inside", "inside");
    const NodeId one = mount.id("one"), two = mount.id("two"), dir = mount.id("dir");
    REQUIRE(mount.rename("", "one", "", "two", RENAME_EXCHANGE));
    CHECK(mount.read("one") == "two");
    CHECK(mount.read("two") == "one");
    CHECK(mount.id("one") == two);
    CHECK(mount.id("two") == one);
    // A directory to where a directory lies hidden below.
    REQUIRE(mount.rename("", "dir", "", "two", RENAME_EXCHANGE));
    CHECK(mount.id("two") == dir);
    CHECK(mount.list("two") == Names{"inside"});
    CHECK(mount.read("dir") == "one");
    mount.forget_all();
    CHECK(mount.list("two") == Names{"inside"});
    CHECK(mount.list("") == Names{"one", "two", "dir"});
}

TEST_CASE("rename: with a whiteout asked for") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    mount.start();
    mount.create("", "file", "text");
    REQUIRE(mount.rename("", "file", "", "moved", RENAME_WHITEOUT));
    CHECK(is_whiteout(mount.at(0, "file")));
    CHECK(mount.list("") == Names{"moved"});
}

TEST_CASE("rename: a pool of two branches") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("ww", World::Kind::pool);
    write_file(mount.at(0, "zero"), "zero");
    write_file(mount.at(1, "one"), "one");
    for (int i : {0, 1}) {
        make_dir(mount.at(i, "both"));
        write_file(mount.at(i, "both/file" + std::to_string(i)), std::to_string(i));
        write_file(mount.at(i, "copies"), std::to_string(i));
    }
    make_dir(mount.at(1, "only-one"));
    make_dir(mount.at(0, "empty"));
    mount.start();
    SUBCASE("a file stays on its branch, its new parent is made there") {
        REQUIRE(mount.mkdir("", "new"));
        REQUIRE(mount.rename("", "one", "new", "one"));
        CHECK(read_file(mount.at(1, "new/one")) == "one");
        CHECK(mount.read("new/one") == "one");
    }
    SUBCASE("over a file on the branch above, which is gone then") {
        REQUIRE(mount.rename("", "one", "", "zero"));
        CHECK(mount.read("zero") == "one");
        CHECK_FALSE(exists(mount.at(0, "zero")));
    }
    SUBCASE("over a file on the branch below") {
        REQUIRE(mount.rename("", "zero", "", "one"));
        CHECK(mount.read("one") == "zero");
        CHECK_FALSE(exists(mount.at(1, "one")));
    }
    SUBCASE("copies of the source do not come back") {
        REQUIRE(mount.rename("", "copies", "", "x"));
        CHECK(mount.read("x") == "0");
        CHECK_FALSE(mount.shows("copies"));
        CHECK_FALSE(exists(mount.at(1, "copies")));
    }
    SUBCASE("a directory on both") {
        const NodeId id = mount.id("both");
        REQUIRE(mount.rename("", "both", "", "moved"));
        CHECK(mount.id("moved") == id);
        CHECK(mount.list("moved") == Names{"file0", "file1"});
        CHECK(mount.read("moved/file1") == "1");
        for (int i : {0, 1}) CHECK_FALSE(exists(mount.at(i, "both")));
    }
    SUBCASE("a directory on both, over an empty one") {
        REQUIRE(mount.rename("", "both", "", "empty"));
        CHECK(mount.list("empty") == Names{"file0", "file1"});
    }
    SUBCASE("a directory over an empty one of another branch") {
        REQUIRE(mount.rename("", "only-one", "", "empty"));
        CHECK_FALSE(exists(mount.at(0, "empty")));
        CHECK(exists(mount.at(1, "empty")));
        CHECK(mount.shows("empty"));
    }
    SUBCASE("a part that can not move takes the others back") {
        // Behind our back something stands in the way of the second part.
        write_file(mount.at(1, "way"), "in the way");
        make_dir(mount.at(0, "way"));
        CHECK_FALSE(mount.rename("", "both", "", "way"));
        CHECK(mount.list("both") == Names{"file0", "file1"});
        CHECK(mount.read("both/file0") == "0");
        CHECK(mount.read("both/file1") == "1");
        CHECK(read_file(mount.at(1, "way")) == "in the way");
    }
    SUBCASE("exchange across branches") {
        const NodeId zero = mount.id("zero");
        const NodeId one = mount.id("one");
        REQUIRE(mount.rename("", "zero", "", "one", RENAME_EXCHANGE));
        CHECK(mount.read("zero") == "one");
        CHECK(mount.read("one") == "zero");
        CHECK(mount.id("zero") == one);
        CHECK(mount.id("one") == zero);
        CHECK_FALSE(exists(mount.at(1, "one")));
    }
    SUBCASE("exchange across branches with somebody who writes") {
        auto writer = ops::open(mount.ctx(), Mounted::request(), mount.id("one"), O_WRONLY);
        REQUIRE(writer);
        CHECK(mount.rename("", "zero", "", "one", RENAME_EXCHANGE).failed_with(EXDEV));
        CHECK(mount.read("zero") == "zero");
        CHECK(mount.read("one") == "one");
        ops::release(mount.ctx(), writer->handle);
    }
    SUBCASE("an exchange that copies data is not for the thread that reads requests") {
        mount.shows("zero");
        mount.shows("one");
        auto request = Mounted::request();
        request.may_block = false;
        const Name zero = name_of("zero");
        CHECK(ops::rename(mount.ctx(), request, kRootId, zero, kRootId, name_of("one"), RENAME_EXCHANGE)
                  .failed_with(EINPROGRESS));
        CHECK(mount.read("zero") == "zero");
    }
}

TEST_CASE("rename: two writable branches over a read-only one") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wwr");
    write_file(mount.at(1, "one"), "one");
    make_dir(mount.at(1, "dir1"));
    write_file(mount.at(1, "dir1/inside"), "inside");
    make_dir(mount.at(0, "dir0"));
    write_file(mount.at(0, "dir0/inside"), "inside");
    for (const char* name : {"gone", "gone-dir"}) make_dir(mount.at(2, name));
    write_file(mount.at(2, "gone-dir/old"), "old");
    SUBCASE("a whiteout above the new name goes") {
        make_whiteout(mount.at(0, "gone"));
        mount.start();
        REQUIRE(mount.rename("", "one", "", "gone"));
        CHECK(mount.read("gone") == "one");
    }
    SUBCASE("a directory to a name hidden above does not show what was hidden") {
        make_whiteout(mount.at(0, "gone-dir"));
        mount.start();
        REQUIRE(mount.rename("", "dir1", "", "gone-dir"));
        CHECK(mount.list("gone-dir") == Names{"inside"});
        mount.forget_all();
        CHECK(mount.list("gone-dir") == Names{"inside"});
    }
    SUBCASE("nor one to a name hidden below") {
        make_whiteout(mount.at(1, "gone-dir"));
        mount.start();
        REQUIRE(mount.rename("", "dir0", "", "gone-dir"));
        CHECK(mount.list("gone-dir") == Names{"inside"});
        mount.forget_all();
        CHECK(mount.list("gone-dir") == Names{"inside"});
    }
    SUBCASE("into a directory that hides the file's branch") {
        make_dir(mount.at(0, "opaque"));
        make_opaque(mount.at(0, "opaque"));
        mount.start();
        auto done = mount.rename("", "one", "opaque", "one");
        mount.forget_all();
        // Moved where it is seen, or left to the caller to copy; not lost.
        if (done) {
            CHECK(mount.read("opaque/one") == "one");
        } else {
            CHECK(done.failed_with(EXDEV));
            CHECK(mount.read("one") == "one");
        }
    }
    SUBCASE("a link into a directory that hides the file's branch") {
        make_dir(mount.at(0, "opaque"));
        make_opaque(mount.at(0, "opaque"));
        mount.start();
        auto done = ops::link(mount.ctx(), Mounted::request(), mount.id("one"), mount.id("opaque"), name_of("one"));
        if (done) mount.told.insert(done->id);
        mount.forget_all();
        if (done) {
            CHECK(mount.read("opaque/one") == "one");
        } else {
            CHECK(done.failed_with(EXDEV));
        }
        CHECK(mount.read("one") == "one");
    }
}

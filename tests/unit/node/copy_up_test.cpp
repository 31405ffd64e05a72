#include "node/copy_up.h"

#include <linux/fs.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "world.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

constexpr time_t kThen = 1000000000;

void set_times(const std::string& path) {
    const timespec times[2] = {{kThen, 0}, {kThen, 0}};
    INFO(path);
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

time_t mtime_of(const std::string& path) {
    return lstat_or_fail(path).st_mtim.tv_sec;
}

BranchIndex winner_of(const NodeRef& node) {
    return LockedNode(*node)->winner;
}

std::string big_text() {
    return std::string(20 << 20, 'x');
}

}  // namespace

TEST_CASE("copy-up: a file, its parents first, with their times kept") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    for (const char* dir : {"a", "a/b", "a/b/c"}) make_dir(world.at(1, dir));
    write_file(world.at(1, "a/b/c/file"), "lower");
    make_dir(world.at(0, "a"));
    for (const char* dir : {"a/b/c", "a/b", "a"}) set_times(world.at(1, dir));
    set_times(world.at(0, "a"));
    set_times(world.at(0, ""));
    Tree& tree = world.start();
    const NodeRef node = world.node("a/b/c/file");
    const auto generation = node->generation();
    REQUIRE(ensure_writable(tree, node, {}));
    CHECK(read_file(world.at(0, "a/b/c/file")) == "lower");
    CHECK(winner_of(node) == 0);
    CHECK(node->generation() != generation);
    CHECK(LockedNode(*node)->shown_inode == lstat_or_fail(world.at(1, "a/b/c/file")).st_ino);
    for (const char* dir : {"a", "a/b", "a/b/c"}) {
        INFO(std::string(dir));
        CHECK(mtime_of(world.at(0, dir)) == kThen);
    }
    CHECK(mtime_of(world.at(0, "")) == kThen);
    CHECK(tree.stat_object(node)->stx_ino == lstat_or_fail(world.at(0, "a/b/c/file")).st_ino);
    CHECK(world.work_is_empty());
    // Once more is nothing.
    REQUIRE(ensure_writable(tree, node, {}));
    CHECK(tree.counters().copyups == 1);
}

TEST_CASE("copy-up: many threads, one copy") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    make_dir(world.at(1, "d"));
    write_file(world.at(1, "d/file"), big_text());
    Tree& tree = world.start();
    const NodeRef node = world.node("d/file");
    std::atomic<int> succeeded{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            if (ensure_writable(tree, node, {}) && winner_of(node) == 0) ++succeeded;
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(succeeded == 8);
    CHECK(tree.counters().copyups == 1);
    CHECK(lstat_or_fail(world.at(0, "d/file")).st_size == 20 << 20);
    CHECK(world.work_is_empty());
}

TEST_CASE("copy-up: siblings in one lower directory at the same time") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    make_dir(world.at(1, "d"));
    make_dir(world.at(1, "d/e"));
    constexpr int kFiles = 40;
    for (int i = 0; i < kFiles; ++i) write_file(world.at(1, "d/e/f" + std::to_string(i)), std::to_string(i));
    Tree& tree = world.start();
    const NodeRef dir = world.node("d/e");
    std::vector<NodeRef> nodes;
    for (int i = 0; i < kFiles; ++i) nodes.push_back(world.node("d/e/f" + std::to_string(i)));
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = t; i < kFiles; i += 4) {
                if (!ensure_writable(tree, nodes[static_cast<std::size_t>(i)], {})) ++failed;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(failed == 0);
    for (int i = 0; i < kFiles; ++i) CHECK(read_file(world.at(0, "d/e/f" + std::to_string(i))) == std::to_string(i));
    CHECK(LockedNode(*dir)->as_dir->layers == std::vector<BranchIndex>{0, 1});
    CHECK(world.node("d/e") == dir);
    CHECK(world.work_is_empty());
}

TEST_CASE("copy-up: hard links known by two names stay one file") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    make_dir(world.at(1, "d"));
    write_file(world.at(1, "one"), "text");
    REQUIRE(::link(world.at(1, "one").c_str(), world.at(1, "d/two").c_str()) == 0);
    REQUIRE(::link(world.at(1, "one").c_str(), world.at(1, "three").c_str()) == 0);
    Tree& tree = world.start();
    const NodeRef node = world.node("one");
    REQUIRE(world.node("d/two") == node);
    REQUIRE(ensure_writable(tree, node, {}));
    CHECK(lstat_or_fail(world.at(0, "one")).st_ino == lstat_or_fail(world.at(0, "d/two")).st_ino);
    CHECK(lstat_or_fail(world.at(0, "one")).st_nlink == 2);
    CHECK_FALSE(exists(world.at(0, "three")));
    CHECK(LockedNode(*node)->rare->hidden_links == 1);
    // The third name is met later.
    REQUIRE(world.node("three") == node);
    REQUIRE(add_missing_link(tree, node, world.node(""), name_of("three")));
    CHECK(lstat_or_fail(world.at(0, "three")).st_ino == lstat_or_fail(world.at(0, "one")).st_ino);
    CHECK(LockedNode(*node)->rare->hidden_links == 0);
    CHECK(tree.counters().copyups == 1);
}

TEST_CASE("copy-up: append-only hard links") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    write_file(world.at(1, "one"), "log");
    REQUIRE(::link(world.at(1, "one").c_str(), world.at(1, "two").c_str()) == 0);
    if (!set_protection(world.at(1, "one"), FS_APPEND_FL)) {
        MESSAGE("skipped: no append-only files on this file system");
        return;
    }
    Tree& tree = world.start();
    const NodeRef node = world.node("one");
    REQUIRE(world.node("two") == node);
    CHECK(ensure_writable(tree, node, {}));
    CHECK(winner_of(node) == 0);
    CHECK(exists(world.at(0, "two")));
    CHECK((tree.stat_object(node).value().stx_attributes & STATX_ATTR_APPEND) != 0);
    CHECK(set_protection(world.at(0, "one"), 0));
    CHECK(set_protection(world.at(0, "two"), 0));
    CHECK(set_protection(world.at(1, "one"), 0));
}

TEST_CASE("copy-up: immutable is EPERM, and nothing is copied") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    write_file(world.at(1, "file"), "text");
    if (!set_protection(world.at(1, "file"), FS_IMMUTABLE_FL)) {
        MESSAGE("skipped: no immutable files on this file system");
        return;
    }
    Tree& tree = world.start();
    CHECK(ensure_writable(tree, world.node("file"), {}).failed_with(EPERM));
    CHECK_FALSE(exists(world.at(0, "file")));
    CHECK(set_protection(world.at(1, "file"), 0));
    CHECK(ensure_writable(tree, world.node("file"), {}));
}

TEST_CASE("copy-up: an interrupted copy is EINTR and leaves nothing, and the next one works") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    write_file(world.at(1, "file"), big_text());
    Tree& tree = world.start();
    const NodeRef node = world.node("file");
    int asked = 0;
    CHECK(ensure_writable(tree, node, {.cancelled = [&] { return ++asked == 2; }}).failed_with(EINTR));
    CHECK(asked == 2);
    CHECK_FALSE(exists(world.at(0, "file")));
    CHECK(world.work_is_empty());
    CHECK(winner_of(node) == 1);
    CHECK_FALSE(LockedNode(*node)->copying);
    CHECK(tree.counters().copyups == 0);
    CHECK(ensure_writable(tree, node, {}));
    CHECK(lstat_or_fail(world.at(0, "file")).st_size == 20 << 20);
}

TEST_CASE("copy-up: those who may not wait, or are interrupted while they wait") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    write_file(world.at(1, "file"), big_text());
    REQUIRE(::symlink("x", world.at(1, "symlink").c_str()) == 0);
    Tree& tree = world.start();
    const NodeRef node = world.node("file");
    CHECK(ensure_writable(tree, node, {.may_block = false}).failed_with(EINPROGRESS));
    CHECK(winner_of(node) == 1);
    CHECK_FALSE(exists(world.at(0, "file")));
    // No data: nothing to wait for.
    CHECK(ensure_writable(tree, world.node("symlink"), {.may_block = false}));

    std::atomic<bool> copying{false}, go_on{false};
    std::thread copier([&] {
        auto done = ensure_writable(tree, node, {.cancelled = [&] {
                                        copying = true;
                                        while (!go_on) std::this_thread::yield();
                                        return false;
                                    }});
        CHECK(done);
    });
    while (!copying) std::this_thread::yield();
    CHECK(ensure_writable(tree, node, {.may_block = false}).failed_with(EINPROGRESS));
    CHECK(ensure_writable(tree, node, {.cancelled = [] { return true; }}).failed_with(EINTR));
    // Looking at it goes on meanwhile.
    CHECK(tree.stat_object(node).value().stx_size == 20 << 20);
    go_on = true;
    copier.join();
    CHECK(ensure_writable(tree, node, {.may_block = false}));
    CHECK(tree.counters().copyups == 2);
}

TEST_CASE("copy-up: what is about to be truncated is not copied, but remembered as changed") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    write_file(world.at(1, "none"), std::string(5000, 'x'));
    write_file(world.at(1, "some"), std::string(5000, 'x'));
    write_file(world.at(1, "all"), std::string(5000, 'x'));
    Tree& tree = world.start();
    struct Row {
        const char* name;
        std::uint64_t keep;
        off_t size;
        bool changed;
    };
    for (const Row& row : {Row{"none", 0, 0, true}, Row{"some", 100, 100, true}, Row{"all", kAllData, 5000, false}}) {
        INFO(std::string(row.name));
        const NodeRef node = world.node(row.name);
        REQUIRE(ensure_writable(tree, node, {.keep_bytes = row.keep}));
        CHECK(lstat_or_fail(world.at(0, row.name)).st_size == row.size);
        CHECK(LockedNode(*node)->changed_since_copy == row.changed);
    }
}

TEST_CASE("copy-up: content that is about to be truncated is never seen at the old size") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    const std::string content(100000, 'x');
    for (int branch : {0, 1}) write_file(world.at(branch, "f"), branch ? content : "");
    REQUIRE(::truncate(world.at(0, "f").c_str(), 100000) == 0);
    REQUIRE(::setxattr(world.at(0, "f").c_str(), "trusted.overlay.metacopy", "", 0, 0) == 0);
    Tree& tree = world.start();
    const NodeRef node = world.node("f");
    REQUIRE(LockedNode(*node)->content_branch == 1);
    REQUIRE(ensure_writable(tree, node, {.keep_bytes = 30000}));
    CHECK(read_file(world.at(0, "f")) == content.substr(0, 30000));
    CHECK(LockedNode(*node)->content_branch == -1);
    CHECK(LockedNode(*node)->changed_since_copy);
}

TEST_CASE("copy-up: no branch to copy to") {
    PLYFS_NEEDS_ROOT();
    SUBCASE("all read-only") {
        World world("rr", World::Kind::pool);
        write_file(world.at(1, "file"), "x");
        Tree& tree = world.start();
        CHECK(ensure_writable(tree, world.node("file"), {}).failed_with(EROFS));
    }
    SUBCASE("the writable one lies below") {
        World world("rw", World::Kind::pool);
        write_file(world.at(0, "file"), "x");
        Tree& tree = world.start();
        CHECK(ensure_writable(tree, world.node("file"), {}).failed_with(EROFS));
        CHECK_FALSE(exists(world.at(1, "file")));
    }
}

TEST_CASE("copy-up: a directory that came to the branch in several steps leaves no key behind") {
    PLYFS_NEEDS_ROOT();
    World world("wwr", World::Kind::pool);
    make_dir(world.at(2, "d"));
    Tree& tree = world.start();
    sys::FileKey keys[3];
    {
        const NodeRef node = world.node("d");
        for (BranchIndex branch : {1, 0}) {
            REQUIRE(ensure_dir_on(tree, node, branch));
            CHECK(winner_of(node) == branch);
        }
        CHECK(LockedNode(*node)->as_dir->layers == std::vector<BranchIndex>{0, 1, 2});
        for (int i : {0, 1, 2}) {
            keys[i] = sys::key_of(sys::stat_at(open_dir(world.at(i, "")), name_of("d")).value());
        }
        CHECK(tree.nodes().find(keys[0]) == node);
        CHECK(tree.nodes().find(keys[2]) == node);
    }
    CHECK(tree.nodes().size() == 1);
    for (const auto& key : keys) CHECK_FALSE(tree.nodes().find(key));
}

TEST_CASE("copy-up: looking at a file while it is copied up never fails, and finds one node") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    make_dir(world.at(1, "d"));
    constexpr int kFiles = 400;
    for (int i = 0; i < kFiles; ++i) write_file(world.at(1, "d/f" + std::to_string(i)), "x");
    Tree& tree = world.start();
    std::vector<NodeRef> nodes;
    for (int i = 0; i < kFiles; ++i) nodes.push_back(world.node("d/f" + std::to_string(i)));
    const NodeRef dir = world.node("d");
    std::atomic<int> at{0}, stat_failed{0}, find_failed{0}, copy_failed{0}, other_node{0};
    std::atomic<bool> end{false};
    std::vector<std::thread> lookers;
    lookers.emplace_back([&] {
        while (!end) {
            if (!tree.stat_object(nodes[static_cast<std::size_t>(at)])) ++stat_failed;
        }
    });
    lookers.emplace_back([&] {
        while (!end) {
            if (!tree.find_object(nodes[static_cast<std::size_t>(at)])) ++find_failed;
        }
    });
    lookers.emplace_back([&] {
        // As a lookup: by name, then by key.
        while (!end) {
            const int i = at;
            const std::string name = "f" + std::to_string(i);
            auto found = find_winner(tree.set(), tree.layers_of(dir).value(), *Name::parse(name));
            bool made = false;
            if (!found ||
                tree.nodes().find_or_make(sys::key_of(found->st), made) != nodes[static_cast<std::size_t>(i)]) {
                ++other_node;
            }
        }
    });
    for (; at < kFiles - 1; ++at) {
        if (!ensure_writable(tree, nodes[static_cast<std::size_t>(at)], {})) ++copy_failed;
    }
    end = true;
    for (auto& thread : lookers) thread.join();
    CHECK(copy_failed == 0);
    CHECK(stat_failed == 0);
    CHECK(find_failed == 0);
    CHECK(other_node == 0);
}

TEST_CASE("copy-up: looking up a directory while it is made on the branch finds one node") {
    PLYFS_NEEDS_ROOT();
    World world("wr");
    constexpr int kDirs = 400;
    for (int i = 0; i < kDirs; ++i) make_dir(world.at(1, "d" + std::to_string(i)));
    Tree& tree = world.start();
    std::vector<NodeRef> nodes;
    for (int i = 0; i < kDirs; ++i) nodes.push_back(world.node("d" + std::to_string(i)));
    const NodeRef root = world.node("");
    std::atomic<int> at{0}, failed{0}, other_node{0};
    std::atomic<bool> end{false};
    std::thread looker([&] {
        while (!end) {
            const int i = at;
            const std::string name = "d" + std::to_string(i);
            auto found = find_winner(tree.set(), tree.layers_of(root).value(), *Name::parse(name));
            bool made = false;
            if (!found ||
                tree.nodes().find_or_make(sys::key_of(found->st), made) != nodes[static_cast<std::size_t>(i)]) {
                ++other_node;
            }
            if (!tree.stat_object(nodes[static_cast<std::size_t>(i)])) ++failed;
        }
    });
    for (; at < kDirs - 1; ++at) {
        if (!ensure_dir_writable(tree, nodes[static_cast<std::size_t>(at)])) ++failed;
    }
    end = true;
    looker.join();
    CHECK(failed == 0);
    CHECK(other_node == 0);
}

TEST_CASE("copy-up: a directory on every branch, and one that is there already") {
    PLYFS_NEEDS_ROOT();
    World world("www", World::Kind::pool);
    make_dir(world.at(2, "a"));
    make_dir(world.at(2, "a/b"));
    REQUIRE(::chmod(world.at(2, "a/b").c_str(), 03770) == 0);
    Tree& tree = world.start();
    NodeRef node = world.node("a/b");
    REQUIRE(ensure_dir_on(tree, node, 1));
    CHECK((lstat_or_fail(world.at(1, "a/b")).st_mode & 07777) == 03770);
    CHECK(winner_of(node) == 1);
    CHECK_FALSE(exists(world.at(0, "a")));
    REQUIRE(ensure_dir_on(tree, node, 1));
    // Somebody made it on the branch behind our back.
    make_dir(world.at(0, "a"));
    make_dir(world.at(0, "a/b"));
    REQUIRE(ensure_dir_on(tree, node, 0));
    CHECK(winner_of(node) == 0);
    CHECK(LockedNode(*node)->as_dir->layers == std::vector<BranchIndex>{0, 1, 2});
    CHECK(tree.dir_on(node, 0).has_value());
    node = {};
    world.stop();
    for (int i : {0, 1, 2}) CHECK_FALSE(exists(world.at(i, ".plyfs.work")));
}

TEST_CASE("copy-up: a file in the way of a directory") {
    PLYFS_NEEDS_ROOT();
    World world("ww", World::Kind::pool);
    make_dir(world.at(1, "a"));
    Tree& tree = world.start();
    const NodeRef node = world.node("a");
    write_file(world.at(0, "a"), "in the way");
    CHECK(ensure_dir_on(tree, node, 0).failed_with(ENOTDIR));
    CHECK(read_file(world.at(0, "a")) == "in the way");
}

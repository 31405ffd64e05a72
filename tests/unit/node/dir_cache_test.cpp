#include "node/dir_cache.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <set>
#include <thread>

#include "node/node_table.h"
#include "node/shown_inodes.h"

using namespace plyfs;

namespace {

SharedDir some_dir() {
    auto fd = std::make_shared<const LayerDir>(UniqueFd(::open("/", O_PATH | O_CLOEXEC)));
    REQUIRE(fd->valid());
    return fd;
}

}  // namespace

TEST_CASE("directory cache: what was put is found, by node and branch") {
    NodeTable table;
    DirCache cache(64);
    NodeRef a = table.make(S_IFDIR), b = table.make(S_IFDIR);
    CHECK_FALSE(cache.find(*a, 0));
    auto a0 = some_dir(), a1 = some_dir(), b0 = some_dir();
    cache.put(*a, 0, a0);
    cache.put(*a, 1, a1);
    cache.put(*b, 0, b0);
    CHECK(cache.find(*a, 0) == a0);
    CHECK(cache.find(*a, 1) == a1);
    CHECK(cache.find(*b, 0) == b0);
    CHECK_FALSE(cache.find(*b, 1));
    CHECK(cache.size() == 3);
}

TEST_CASE("directory cache: another descriptor for the same place replaces the first") {
    NodeTable table;
    DirCache cache(64);
    NodeRef node = table.make(S_IFDIR);
    auto first = some_dir();
    std::weak_ptr<const LayerDir> watch = first;
    cache.put(*node, 0, std::move(first));
    auto second = some_dir();
    cache.put(*node, 0, second);
    CHECK(watch.expired());
    CHECK(cache.find(*node, 0) == second);
    CHECK(cache.size() == 1);
}

TEST_CASE("directory cache: the budget holds, and what is in use stays open") {
    NodeTable table;
    DirCache cache(64);
    std::vector<NodeRef> nodes;
    std::vector<std::weak_ptr<const LayerDir>> kept;
    auto in_use = some_dir();
    nodes.push_back(table.make(S_IFDIR));
    cache.put(*nodes[0], 0, in_use);
    for (int i = 0; i < 2000; ++i) {
        nodes.push_back(table.make(S_IFDIR));
        auto dir = some_dir();
        kept.push_back(dir);
        cache.put(*nodes.back(), static_cast<BranchIndex>(i % 3), std::move(dir));
        REQUIRE(cache.size() <= 64);
    }
    const auto open = std::count_if(kept.begin(), kept.end(), [](const auto& dir) { return !dir.expired(); });
    CHECK(open <= 64);
    CHECK(open >= 16);  // it does keep some
    CHECK(::fcntl(BorrowedFd(*in_use).get(), F_GETFD) >= 0);
}

TEST_CASE("directory cache: the least recently used goes first") {
    NodeTable table;
    DirCache cache(64);  // four a shard; one node's branches share a shard
    NodeRef node = table.make(S_IFDIR);
    for (BranchIndex branch = 0; branch < 4; ++branch) cache.put(*node, branch, some_dir());
    CHECK(cache.size() == 4);
    CHECK(cache.find(*node, 0));  // used: 1 is the oldest now
    cache.put(*node, 4, some_dir());
    CHECK(cache.size() == 4);
    CHECK_FALSE(cache.find(*node, 1));
    for (BranchIndex branch : {0, 2, 3, 4}) {
        CAPTURE(branch);
        CHECK(cache.find(*node, branch));
    }
}

TEST_CASE("directory cache: dropping a node, one branch of it, and what is not there") {
    NodeTable table;
    DirCache cache(256);
    NodeRef a = table.make(S_IFDIR), b = table.make(S_IFDIR);
    std::vector<std::weak_ptr<const LayerDir>> of_a;
    for (BranchIndex branch = 0; branch < 3; ++branch) {
        auto dir = some_dir();
        of_a.push_back(dir);
        cache.put(*a, branch, std::move(dir));
    }
    cache.put(*b, 0, some_dir());
    cache.drop(*a, 1);
    CHECK(of_a[1].expired());
    CHECK_FALSE(cache.find(*a, 1));
    CHECK(cache.size() == 3);
    cache.drop(*a, 1);
    cache.drop(*a, 17);
    CHECK(cache.size() == 3);
    cache.drop(*a);
    CHECK(of_a[0].expired());
    CHECK(of_a[2].expired());
    CHECK(cache.size() == 1);
    cache.drop(*a);
    CHECK(cache.find(*b, 0));
    cache.put(*a, 0, some_dir());
    CHECK(cache.find(*a, 0));
}

TEST_CASE("directory cache: from many threads") {
    NodeTable table;
    DirCache cache(32);
    std::vector<NodeRef> nodes;
    for (int i = 0; i < 50; ++i) nodes.push_back(table.make(S_IFDIR));
    const auto dir = some_dir();
    std::atomic<bool> wrong{false};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = 0; i < 20000; ++i) {
                const Node& node = *nodes[(i * 31 + t * 17) % nodes.size()];
                const auto branch = static_cast<BranchIndex>(i % 3);
                if (i % 5 == 0) cache.drop(node);
                if (i % 7 == 0) cache.drop(node, branch);
                cache.put(node, branch, dir);
                if (auto found = cache.find(node, branch); found && found != dir) wrong = true;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK_FALSE(wrong);
    CHECK(cache.size() <= 64);  // four a shard at least
    for (const auto& node : nodes) cache.drop(*node);
    CHECK(cache.size() == 0);
    CHECK(dir.use_count() == 1);
}

TEST_CASE("shown inodes: what was kept wins over the branch's own") {
    BranchSet set({});
    ShownInodes shown;
    CHECK(shown.of(set, 5, 100) == 100);
    shown.drop(5, 100);  // nothing there
    shown.keep(5, 100, 42);
    shown.keep(5, 101, 43);
    CHECK(shown.of(set, 5, 100) == 42);
    CHECK(shown.of(set, 5, 101) == 43);
    CHECK(shown.of(set, 5, 102) == 102);
    shown.keep(5, 100, 44);
    CHECK(shown.of(set, 5, 100) == 44);
    CHECK(shown.of(set, 6, 100) != 44);  // another device
    shown.drop(5, 100);
    CHECK(shown.of(set, 5, 100) == 100);
    CHECK(shown.of(set, 5, 101) == 43);
}

TEST_CASE("shown inodes: an object that moves keeps its number, which nothing else gets") {
    BranchSet set({});
    ShownInodes shown;
    const auto key = [](std::uint64_t dev, std::uint64_t ino) { return sys::FileKey{dev, ino, 0, S_IFREG}; };
    const auto number = shown.of(set, 5, 100);
    shown.move(key(5, 100), key(6, 7), number);
    CHECK(shown.of(set, 6, 7) == number);
    const auto next = shown.of(set, 5, 100);  // another file there
    CHECK(next != number);
    CHECK(next != set.shown_inode(6, 7));
    shown.drop(5, 100);
    CHECK(shown.of(set, 5, 100) == next);
    // It moves on, and the other one away.
    shown.move(key(6, 7), key(7, 8), number);
    shown.move(key(5, 100), key(6, 7), next);
    const std::set<std::uint64_t> numbers{number, next, shown.of(set, 5, 100), shown.of(set, 5, 101)};
    CHECK(numbers.size() == 4);
    CHECK(shown.of(set, 7, 8) == number);
    CHECK(shown.of(set, 6, 7) == next);
    // Back where it came from.
    shown.move(key(7, 8), key(5, 100), number);
    CHECK(shown.of(set, 5, 100) == number);
    shown.drop(5, 100);
    CHECK_FALSE(numbers.contains(shown.of(set, 7, 8)));
}

#include "node/node_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

using namespace plyfs;

namespace {

constexpr std::uint32_t kFile = S_IFREG;

sys::FileKey key(std::uint64_t ino, std::uint64_t dev = 1) {
    return {dev, ino, 0, kFile};
}

struct CountForgotten : NodeTable::Observer {
    std::atomic<int> count{0};
    void forgotten(const Node&) override { ++count; }
};

// What the kernel does with an answer and a FORGET.
NodeId remember(NodeTable& table, const NodeRef& node) {
    LockedNode state(*node);
    table.count_lookup(state, state->face);
    return state->face.id;
}

void forget(NodeTable& table, NodeId id, std::uint64_t count) {
    NodeRef node = table.find(id);
    REQUIRE(node);
    NodeRef given_back;
    LockedNode state(*node);
    Face* face = state->face_of(id);
    REQUIRE(face);
    given_back = table.forget(state, *face, count);
}

template <typename Body>
void in_threads(int count, Body body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
    for (auto& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("node table: ids are new each time, for long") {
    NodeTable table;
    std::set<NodeId> seen{0, kRootId};
    // Far more than slots wait in line: each slot is used several times.
    for (int i = 0; i < 30000; ++i) {
        NodeRef node = table.make(kFile);
        const NodeId id = LockedNode(*node)->face.id;
        REQUIRE(seen.insert(id).second);
        REQUIRE(table.find(id) == node);
    }
    CHECK(table.size() == 0);
    for (NodeId id : seen) REQUIRE_FALSE(table.find(id));
}

TEST_CASE("node table: slots of nodes that went are used again") {
    NodeTable table;
    constexpr NodeId kSlots = (NodeId{1} << 40) - 1;
    NodeId highest = 0;
    for (int i = 0; i < 30000; ++i) {
        NodeRef node = table.make(kFile);
        highest = std::max(highest, LockedNode(*node)->face.id & kSlots);
    }
    CHECK(highest < 10000);
}

TEST_CASE("node table: ids that were never given lead nowhere") {
    NodeTable table;
    NodeRef root = table.make_root(S_IFDIR);
    NodeRef node = table.make(kFile);
    const NodeId id = LockedNode(*node)->face.id;
    CHECK(table.find(kRootId) == root);
    for (NodeId wrong : {NodeId{0}, id + 1, id + 4096, NodeId{1} << 30, (NodeId{1} << 40) - 1,
                         NodeId{1} << 40 | kRootId, id | NodeId{1} << 40, id | NodeId{1} << 63, ~NodeId{0}}) {
        CAPTURE(wrong);
        CHECK_FALSE(table.find(wrong));
    }
    CHECK_FALSE(table.find(key(1)));
}

TEST_CASE("node table: a node lives while somebody refers to it") {
    CountForgotten gone;
    NodeTable table;
    table.set_observer(&gone);
    bool made = false;
    NodeRef node = table.find_or_make(key(7), made);
    CHECK(made);
    const NodeId id = remember(table, node);
    CHECK(remember(table, node) == id);
    node = {};
    CHECK(table.size() == 1);  // the kernel's reference
    CHECK(table.find(id) == table.find(key(7)));
    node = table.find_or_make(key(7), made);
    CHECK_FALSE(made);
    node = {};
    forget(table, id, 1);
    CHECK(table.size() == 1);
    CHECK(gone.count == 0);
    SUBCASE("forgotten exactly") {
        forget(table, id, 1);
    }
    SUBCASE("forgotten more often than known") {
        forget(table, id, 1000);
    }
    CHECK(table.size() == 0);
    CHECK(gone.count == 1);
    CHECK_FALSE(table.find(id));
    CHECK_FALSE(table.find(key(7)));
    node = table.find_or_make(key(7), made);
    CHECK(made);
    CHECK(LockedNode(*node)->face.id != id);
}

TEST_CASE("node table: a parent lives while its children do, however deep") {
    NodeTable table;
    NodeRef deepest = table.make_root(S_IFDIR);
    constexpr int kDeep = 300000;  // one frame a level would be more than a thread's stack
    for (int i = 0; i < kDeep; ++i) {
        NodeRef child = table.make(S_IFDIR);
        LockedNode(*child)->links = {Link{deepest, "d"}};
        deepest = std::move(child);
    }
    CHECK(table.size() == kDeep + 1);
    deepest = {};
    CHECK(table.size() == 0);
}

TEST_CASE("node table: several keys for one node") {
    NodeTable table;
    bool made = false;
    NodeRef node = table.find_or_make(key(1), made);
    table.add_key(key(2), *node);
    CHECK(table.find(key(1)) == node);
    CHECK(table.find(key(2)) == node);
    NodeRef same = table.find_or_make(key(2), made);
    CHECK_FALSE(made);
    CHECK(same == node);

    NodeRef other = table.find_or_make(key(3), made);
    table.add_key(key(2), *other);  // taken from the first
    CHECK(table.find(key(2)) == other);
    table.drop_key(key(2), *node);  // which has no say in it any more
    CHECK(table.find(key(2)) == other);
    table.drop_key(key(2), *other);
    CHECK_FALSE(table.find(key(2)));
    CHECK(table.find(key(3)) == other);
    // Device, birth time and type tell objects apart as well as the inode.
    for (const sys::FileKey& different : {key(1, 2), sys::FileKey{1, 1, 5, kFile}, sys::FileKey{1, 1, 0, S_IFDIR}}) {
        CHECK_FALSE(table.find(different));
    }
}

TEST_CASE("node table: the keys of a node go with it") {
    NodeTable table;
    {
        bool made = false;
        NodeRef node = table.find_or_make(key(1), made);
        LockedNode state(*node);
        table.add_key(key(2), *node);
        state->rare.set(&Rare::original, key(1));
        state->key = key(2);
    }
    CHECK(table.size() == 0);
    CHECK_FALSE(table.find(key(1)));
    CHECK_FALSE(table.find(key(2)));
}

TEST_CASE("node table: a retired face is found until it is forgotten") {
    NodeTable table;
    NodeRef node = table.make(kFile);
    const NodeId old_id = remember(table, node);
    NodeId id = 0;
    {
        LockedNode state(*node);
        state->rare.make().retired.push_back(std::make_unique<Face>(std::move(state->face)));
        state->face = Face{};
        state->face.id = table.new_id(*node);
        id = state->face.id;
    }
    CHECK(id != old_id);
    CHECK(remember(table, node) == id);
    CHECK(table.find(old_id) == node);
    CHECK(table.find(id) == node);
    node = {};
    SUBCASE("the old one first") {
        forget(table, old_id, 1);
        CHECK_FALSE(table.find(old_id));
        CHECK(table.find(id));
        CHECK(LockedNode(*table.find(id))->rare->retired.empty());
        forget(table, id, 1);
    }
    SUBCASE("the new one first") {
        forget(table, id, 1);
        CHECK(table.find(old_id));
        forget(table, old_id, 1);
    }
    CHECK(table.size() == 0);
    CHECK_FALSE(table.find(old_id));
    CHECK_FALSE(table.find(id));
}

TEST_CASE("node table: many threads that ask for one key get one node") {
    NodeTable table;
    constexpr int kThreads = 8;
    for (std::uint64_t round = 1; round <= 300; ++round) {
        std::atomic<int> made_count{0};
        std::atomic<int> ready{0};
        std::vector<NodeRef> found(kThreads);
        in_threads(kThreads, [&](int i) {
            ++ready;
            while (ready < kThreads) std::this_thread::yield();
            bool made = false;
            found[static_cast<std::size_t>(i)] = table.find_or_make(key(round), made);
            if (made) ++made_count;
        });
        CHECK(made_count == 1);
        for (const NodeRef& node : found) CHECK(node == found[0]);
        CHECK(table.size() == 1);
        CHECK(LockedNode(*found[0])->key == key(round));
    }
    CHECK(table.size() == 0);
}

TEST_CASE("node table: taking up and letting go by key, from many threads") {
    CountForgotten gone;
    NodeTable table;
    table.set_observer(&gone);
    std::atomic<int> made_count{0};
    std::atomic<bool> wrong{false};
    in_threads(4, [&](int i) {
        for (int step = 0; step < 20000; ++step) {
            const auto wanted = key(static_cast<std::uint64_t>(step * 7 + i) % 3);
            bool made = false;
            NodeRef node = step % 2 ? table.find(wanted) : table.find_or_make(wanted, made);
            if (made) ++made_count;
            if (!node) continue;
            NodeRef copy = node;
            // A node on its way out is never handed out again: what comes is whole.
            if (LockedNode(*copy)->key != wanted) wrong = true;
        }
    });
    CHECK_FALSE(wrong);
    CHECK(table.size() == 0);
    CHECK(gone.count >= made_count);  // those that lost a race as well
    for (std::uint64_t i = 0; i < 3; ++i) CHECK_FALSE(table.find(key(i)));
}

TEST_CASE("node table: lookups and forgets of one node from many threads balance") {
    NodeTable table;
    NodeRef root = table.make_root(S_IFDIR);
    std::atomic<bool> lost{false};
    in_threads(4, [&](int) {
        for (int step = 0; step < 5000; ++step) {
            bool made = false;
            NodeId id = 0;
            {
                NodeRef node = table.find_or_make(key(1), made);
                id = remember(table, node);
            }
            // The kernel's reference alone keeps it now.
            NodeRef node = table.find(id);
            if (!node) {
                lost = true;
                return;
            }
            NodeRef given_back;
            LockedNode state(*node);
            given_back = table.forget(state, state->face, 1);
        }
    });
    CHECK_FALSE(lost);
    CHECK(table.size() == 1);
}

TEST_CASE("node table: an id that lasts leads to one node, until that goes") {
    NodeTable table;
    constexpr NodeId kId = NodeId{1} << 63 | 5;
    CHECK_FALSE(table.find(kId));
    NodeRef other = table.make(kFile);
    {
        NodeRef node = table.make(kFile);
        NodeId before;
        {
            LockedNode state(*node);
            before = state->face.id;
            CHECK(table.take_lasting_id(state, kId));
            CHECK(state->face.id == kId);
        }
        CHECK_FALSE(table.find(before));
        CHECK(table.find(kId) == node);
        CHECK(table.find_again(kId) == node);
        LockedNode state(*other);
        CHECK_FALSE(table.take_lasting_id(state, kId));
        CHECK_FALSE(state->face.id == kId);
    }
    CHECK_FALSE(table.find(kId));
    CHECK_FALSE(table.find_again(kId));
    const NodeId slot = LockedNode(*other)->face.id;
    CHECK(table.find_again(slot) == other);
    {
        LockedNode state(*other);
        CHECK(table.take_lasting_id(state, kId));
    }
    CHECK(table.find(kId) == other);
    CHECK_FALSE(table.find_again(slot));
    CHECK_FALSE(table.find_again(NodeId{1} << 39));
}

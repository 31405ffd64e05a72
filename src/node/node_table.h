// NodeTable: from the kernel's node id, and from what lies on a branch, to nodes.
//
// Ids are slots with a use count, never reused soon. Finding by id takes no lock: the kernel does not FORGET a node
// that it has a request on. The locks in here are leaves: no system call and no other lock is taken under them.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "node/node.h"

namespace plyfs {

// The key that leads to the directory at a place of the union (Tree::dirs_have_places), whatever lies there on which
// branch.
sys::FileKey key_of_place(const Node& parent, std::string_view name);

class ToldNames;

class NodeTable {
  public:
    NodeTable();
    ~NodeTable();

    static std::uint64_t slot_of(NodeId id) { return id & kSlotMask; }
    // What the kernel is told is kept there, and the ids of an earlier process are never given out anew: before
    // anything is served. Null, as at first: nobody keeps it.
    void keep_told(ToldNames* told);
    ToldNames* told() const { return told_; }

    // What else has to be dropped with a node (cached directory descriptors). Called without locks.
    class Observer {
      public:
        virtual ~Observer() = default;
        virtual void forgotten(const Node& node) = 0;
    };
    void set_observer(Observer* observer) { observer_ = observer; }

    NodeRef make_root(std::uint32_t type);
    // Null for an id that was never given out or is gone.
    NodeRef find(NodeId id) const;
    NodeRef find(const sys::FileKey& key);
    // The node registered for the key, or a new one (its `made` is true) with an id, registered for it.
    NodeRef find_or_make(const sys::FileKey& key, bool& made);
    // A node that no key leads to.
    NodeRef make(std::uint32_t type);
    // A further key for a node, taking it from whoever had it; and its removal.
    void add_key(const sys::FileKey& key, Node& node);
    void drop_key(const sys::FileKey& key, const Node& node);
    // A further id for a node (under its lock); and its end.
    NodeId new_id(Node& node);
    void end_id(NodeId id);
    // Exchanges the id of a node that nobody was told of for one of node/lasting_ids or of an earlier process, under
    // its lock; false, and nothing happens, while another node has that.
    bool take_lasting_id(LockedNode& node, NodeId id);
    // For an id that the kernel may have forgotten: null where the node is on its way out.
    NodeRef find_again(NodeId id);

    // The highest that any id has had.
    std::uint64_t last_slot();
    // Some of all nodes, from `at` (0: the first) on, which is moved on; none: those were all. What is made meanwhile
    // may be left out.
    std::vector<NodeRef> some(std::uint64_t& at);

    // Reference counting of what the kernel knows: a face whose lookups leave zero holds a reference on the node.
    void count_lookup(LockedNode& node, Face& face);
    // FORGET. The reference the kernel gave back, to be dropped after the lock.
    NodeRef forget(LockedNode& node, Face& face, std::uint64_t count);

    std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

  private:
    friend class NodeRef;
    static constexpr int kUseShift = 40;  // slot number below, use count above
    static constexpr NodeId kSlotMask = (NodeId{1} << kUseShift) - 1;
    static constexpr std::size_t kChunk = 4096;
    static constexpr std::size_t kMaxChunks = 1 << 18;  // 2^30 nodes
    static constexpr std::size_t kShards = 64;
    struct IdShard {
        Mutex mutex;
        std::unordered_map<NodeId, Node*> nodes GUARDED_BY(mutex);
    };
    struct Slot {
        std::atomic<Node*> node{nullptr};
        std::atomic<std::uint32_t> use{0};
    };
    struct KeyHash {
        // noexcept: libstdc++ keeps no hash in each entry then.
        std::size_t operator()(const sys::FileKey& key) const noexcept { return sys::hash_of(key); }
    };
    struct Shard {
        Mutex mutex;
        std::unordered_map<sys::FileKey, Node*, KeyHash> nodes GUARDED_BY(mutex);
    };

    Shard& shard_of(const sys::FileKey& key) { return shards_[KeyHash()(key) >> 7 & (kShards - 1)]; }
    static bool try_reference(Node& node);
    Node* new_node(std::uint32_t type);
    static bool was_last(Node& node);
    void release(Node* node);
    std::vector<Link> reap(Node* node);

    IdShard& lasting_shard(NodeId id) const { return lasting_[(id ^ id >> 47) % kShards]; }
    NodeRef find_lasting(NodeId id) const;
    // Kept by id and not by slot, and looked for under a lock: how often the kernel was told of it is not known.
    bool is_by_id(NodeId id) const { return id >> 63 != 0 || (slot_of(id) < first_slot_ && id != kRootId); }

    mutable std::array<Shard, kShards> shards_;
    mutable std::array<IdShard, kShards> lasting_;
    std::unique_ptr<std::atomic<Slot*>[]> chunks_;
    Mutex slot_mutex_;
    std::uint64_t slots_used_ GUARDED_BY(slot_mutex_) = 2;  // 0 is none, 1 the root
    std::deque<std::uint64_t> free_slots_ GUARDED_BY(slot_mutex_);
    std::atomic<std::uint64_t> size_{0};
    Observer* observer_ = nullptr;
    ToldNames* told_ = nullptr;
    std::uint64_t first_slot_ = 0;  // of our own making
};

}  // namespace plyfs

#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "node/lasting_ids.h"
#include "node/node_table.h"
#include "node/told_names.h"

namespace plyfs {
namespace {

constexpr std::uint32_t kUseMask = (1U << 23) - 1;  // the highest bit is that of lasting ids

}  // namespace

// No object has this device.
sys::FileKey key_of_place(const Node& parent, std::string_view name) {
    const auto above = reinterpret_cast<std::uintptr_t>(&parent) >> 4;
    const auto birth = static_cast<std::uint32_t>(above ^ above >> 32);
    return {~std::uint64_t{0}, std::uint64_t{std::hash<std::string_view>()(name)}, birth, S_IFDIR};
}

NodeRef::NodeRef(const NodeRef& other) : node_(other.node_) {
    if (node_) node_->references_.fetch_add(1, std::memory_order_relaxed);
}

NodeRef::~NodeRef() {
    if (node_) node_->table_.release(node_);
}

NodeTable::NodeTable() : chunks_(std::make_unique<std::atomic<Slot*>[]>(kMaxChunks)) {}

NodeTable::~NodeTable() {
    for (std::size_t i = 0; i < kMaxChunks; ++i) {
        delete[] chunks_[i].load(std::memory_order_relaxed);
    }
}

void NodeTable::keep_told(ToldNames* told) {
    MutexLock lock(slot_mutex_);
    told_ = told;
    first_slot_ = told->first_slot();
    slots_used_ = std::max(slots_used_, first_slot_);
}

NodeId NodeTable::new_id(Node& node) {
    MutexLock lock(slot_mutex_);
    std::uint64_t slot;
    // Freed slots wait in line, so that a number comes back as late as possible.
    if (free_slots_.size() > kChunk) {
        slot = free_slots_.front();
        free_slots_.pop_front();
    } else {
        slot = slots_used_++;
        if (told_) told_->took_slot(slot);
    }
    auto& chunk = chunks_[slot / kChunk];
    if (!chunk.load(std::memory_order_relaxed)) chunk.store(new Slot[kChunk], std::memory_order_release);
    Slot& place = chunk.load(std::memory_order_relaxed)[slot % kChunk];
    place.node.store(&node, std::memory_order_release);
    return slot | NodeId{place.use.load(std::memory_order_relaxed) & kUseMask} << kUseShift;
}

void NodeTable::end_id(NodeId id) {
    if (told_ && !LastingIds::is_lasting(id)) told_->clear(id);
    if (is_by_id(id)) {
        IdShard& shard = lasting_shard(id);
        MutexLock lock(shard.mutex);
        shard.nodes.erase(id);
        return;
    }
    MutexLock lock(slot_mutex_);
    const std::uint64_t slot = id & kSlotMask;
    Slot& place = chunks_[slot / kChunk].load(std::memory_order_relaxed)[slot % kChunk];
    place.node.store(nullptr, std::memory_order_release);
    place.use.fetch_add(1, std::memory_order_relaxed);
    free_slots_.push_back(slot);
}

NodeRef NodeTable::make_root(std::uint32_t type) {
    auto* node = new Node(*this, type);
    size_.fetch_add(1, std::memory_order_relaxed);
    {
        MutexLock lock(slot_mutex_);
        chunks_[0].store(new Slot[kChunk], std::memory_order_release);
        chunks_[0].load(std::memory_order_relaxed)[kRootId].node.store(node, std::memory_order_release);
    }
    LockedNode(*node)->face.id = kRootId;
    return NodeRef::adopt(node);
}

bool NodeTable::take_lasting_id(LockedNode& node, NodeId id) {
    {
        IdShard& shard = lasting_shard(id);
        MutexLock lock(shard.mutex);
        if (!shard.nodes.try_emplace(id, &node.node()).second) return false;
    }
    end_id(std::exchange(node->face.id, id));
    return true;
}

// Under the shard's lock nobody deletes the node: that takes its id away first.
NodeRef NodeTable::find_lasting(NodeId id) const {
    IdShard& shard = lasting_shard(id);
    MutexLock lock(shard.mutex);
    const auto it = shard.nodes.find(id);
    if (it == shard.nodes.end() || !try_reference(*it->second)) return {};
    return NodeRef::adopt(it->second);
}

NodeRef NodeTable::find_again(NodeId id) {
    if (is_by_id(id)) return find_lasting(id);
    const std::uint64_t slot = id & kSlotMask;
    if (slot / kChunk >= kMaxChunks) return {};
    MutexLock lock(slot_mutex_);
    Slot* chunk = chunks_[slot / kChunk].load(std::memory_order_acquire);
    if (!chunk) return {};
    Slot& place = chunk[slot % kChunk];
    Node* node = place.node.load(std::memory_order_acquire);
    const bool same = node && (place.use.load(std::memory_order_relaxed) & kUseMask) == id >> kUseShift;
    return same && try_reference(*node) ? NodeRef::adopt(node) : NodeRef();
}

NodeRef NodeTable::find(NodeId id) const {
    if (is_by_id(id)) return find_lasting(id);
    const std::uint64_t slot = id & kSlotMask;
    if (slot / kChunk >= kMaxChunks) return {};
    Slot* chunk = chunks_[slot / kChunk].load(std::memory_order_acquire);
    if (!chunk) return {};
    Slot& place = chunk[slot % kChunk];
    Node* node = place.node.load(std::memory_order_acquire);
    if (!node || (place.use.load(std::memory_order_relaxed) & kUseMask) != id >> kUseShift) return {};
    node->references_.fetch_add(1, std::memory_order_relaxed);
    return NodeRef::adopt(node);
}

std::uint64_t NodeTable::last_slot() {
    MutexLock lock(slot_mutex_);
    return slots_used_ - 1;
}

std::vector<NodeRef> NodeTable::some(std::uint64_t& at) {
    std::vector<NodeRef> out;
    const auto add = [&](Node* node) {
        if (node && try_reference(*node)) out.push_back(NodeRef::adopt(node));
    };
    for (; at < kMaxChunks && out.empty(); ++at) {
        MutexLock lock(slot_mutex_);
        if (at * kChunk >= slots_used_) {
            at = kMaxChunks;
            break;
        }
        Slot* chunk = chunks_[at].load(std::memory_order_acquire);
        if (!chunk) continue;  // of an earlier process
        for (std::size_t i = 0; i < kChunk; ++i) add(chunk[i].node.load(std::memory_order_acquire));
    }
    for (; at >= kMaxChunks && at < kMaxChunks + kShards && out.empty(); ++at) {
        IdShard& shard = lasting_[at - kMaxChunks];
        MutexLock lock(shard.mutex);
        for (const auto& [id, node] : shard.nodes) add(node);
    }
    return out;
}

// A node whose count reached zero is on its way out and must not come back.
bool NodeTable::try_reference(Node& node) {
    auto count = node.references_.load(std::memory_order_relaxed);
    while (count != 0) {
        if (node.references_.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
}

NodeRef NodeTable::find(const sys::FileKey& key) {
    Shard& shard = shard_of(key);
    MutexLock lock(shard.mutex);
    auto it = shard.nodes.find(key);
    if (it == shard.nodes.end() || !try_reference(*it->second)) return {};
    return NodeRef::adopt(it->second);
}

Node* NodeTable::new_node(std::uint32_t type) {
    auto* node = new Node(*this, type);
    size_.fetch_add(1, std::memory_order_relaxed);
    LockedNode(*node)->face.id = new_id(*node);
    return node;
}

NodeRef NodeTable::make(std::uint32_t type) {
    return NodeRef::adopt(new_node(type));
}

NodeRef NodeTable::find_or_make(const sys::FileKey& key, bool& made) {
    made = false;
    if (NodeRef found = find(key)) return found;
    // Made outside the shard's lock: that lock is a leaf. Losing the race costs one unused node.
    NodeRef fresh = make(key.type);
    LockedNode(*fresh)->key = key;
    Shard& shard = shard_of(key);
    MutexLock lock(shard.mutex);
    auto [it, inserted] = shard.nodes.try_emplace(key, fresh.get());
    if (!inserted) {
        if (try_reference(*it->second)) return NodeRef::adopt(it->second);
        it->second = fresh.get();
    }
    made = true;
    return fresh;
}

void NodeTable::add_key(const sys::FileKey& key, Node& node) {
    Shard& shard = shard_of(key);
    MutexLock lock(shard.mutex);
    shard.nodes[key] = &node;
}

void NodeTable::drop_key(const sys::FileKey& key, const Node& node) {
    Shard& shard = shard_of(key);
    MutexLock lock(shard.mutex);
    auto it = shard.nodes.find(key);
    if (it != shard.nodes.end() && it->second == &node) shard.nodes.erase(it);
}

void NodeTable::count_lookup(LockedNode& node, Face& face) {
    if (face.lookups++ == 0) node.node().references_.fetch_add(1, std::memory_order_relaxed);
}

NodeRef NodeTable::forget(LockedNode& node, Face& face, std::uint64_t count) {
    if (face.lookups == 0) return {};  // more than was given out: not ours to go below zero for
    face.lookups -= std::min(face.lookups, count);
    if (face.lookups != 0) return {};
    NodeRef given_back = NodeRef::adopt(&node.node());
    if (&face != &node->face && !(face.opens && face.opens->any())) {
        end_id(face.id);
        std::erase_if(node->rare.make().retired, [&](const auto& old) { return old.get() == &face; });
    }
    return given_back;
}

bool NodeTable::was_last(Node& node) {
    return node.references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

// A chain of parents is let go one after another, not recursively: trees may be deeper than a stack.
void NodeTable::release(Node* node) {
    if (!was_last(*node)) return;
    std::vector<Node*> more;
    for (;;) {
        for (Link& link : reap(node)) {
            Node* parent = std::exchange(link.parent.node_, nullptr);
            if (parent && was_last(*parent)) more.push_back(parent);
        }
        if (more.empty()) return;
        node = more.back();
        more.pop_back();
    }
}

// Nobody else can reach the node any more: ids lead nowhere without the kernel's reference, and keys are not taken up
// from a count of zero. Returns what the node referred to.
std::vector<Link> NodeTable::reap(Node* node) {
    std::vector<Link> links;
    std::vector<sys::FileKey> keys;
    {
        LockedNode state(*node);
        keys = {state->key};
        if (state->rare->original != sys::FileKey{}) keys.push_back(state->rare->original);
        if (node->is_dir()) {
            for (const Link& link : state->links) keys.push_back(key_of_place(*link.parent, link.name));
        }
        links = std::move(state->links);
        end_id(state->face.id);
        for (auto& old : state->rare->retired) end_id(old->id);
    }
    for (const auto& key : keys) drop_key(key, *node);
    if (observer_) observer_->forgotten(*node);
    delete node;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return links;
}

}  // namespace plyfs

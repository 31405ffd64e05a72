#include "node/told_names.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "node/node_table.h"

namespace plyfs {
namespace {

// More nodes than that at a time are served as well, and answered ESTALE by the next process.
constexpr std::uint64_t kMost = std::uint64_t{1} << 22;

}  // namespace

struct ToldNames::Header {
    std::atomic<std::uint64_t> slots_end;
};

// A process may die in the middle of a change: an entry counts while it has its id.
struct ToldNames::Entry {
    std::atomic<NodeId> id;
    NodeId parent;
    sys::FileKey key;
    sys::FileKey next;  // or this one: none of the two is changed while it is what lies there
    std::uint8_t length;
    char name[255];
    std::string_view text() const { return {name, length}; }
    bool has(const sys::FileKey& wanted) const { return wanted != sys::FileKey{} && (key == wanted || next == wanted); }
};

std::size_t ToldNames::bytes() {
    return sizeof(Header) + kMost * sizeof(Entry);
}

ToldNames::ToldNames(void* memory)
    : header_(static_cast<Header*>(memory)), entries_(reinterpret_cast<Entry*>(header_ + 1)) {}

ToldNames::Entry* ToldNames::entry_of(NodeId id) const {
    const std::uint64_t slot = NodeTable::slot_of(id);
    return id == kRootId || slot >= kMost ? nullptr : &entries_[slot];
}

void ToldNames::note(NodeId id, NodeId parent, std::string_view name, const sys::FileKey& key) {
    Entry* entry = entry_of(id);
    if (!entry || name.size() > sizeof entry->name) return;
    MutexLock lock(mutex_of(id));
    if (entry->id.load(std::memory_order_relaxed) == id && entry->parent == parent && entry->key == key &&
        entry->text() == name) {
        return;
    }
    entry->id.store(0, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    entry->parent = parent;
    entry->key = key;
    entry->next = {};
    entry->length = static_cast<std::uint8_t>(name.size());
    std::memcpy(entry->name, name.data(), name.size());
    entry->id.store(id, std::memory_order_release);
}

void ToldNames::clear(NodeId id) {
    Entry* entry = entry_of(id);
    if (!entry) return;
    MutexLock lock(mutex_of(id));
    if (entry->id.load(std::memory_order_relaxed) == id) entry->id.store(0, std::memory_order_release);
}

void ToldNames::set_key(NodeId id, const sys::FileKey& key) {
    Entry* entry = entry_of(id);
    if (!entry) return;
    MutexLock lock(mutex_of(id));
    if (entry->id.load(std::memory_order_relaxed) != id) return;
    entry->next = key;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    entry->key = key;
}

void ToldNames::expect_key(NodeId id, const sys::FileKey& key) {
    Entry* entry = entry_of(id);
    if (!entry) return;
    MutexLock lock(mutex_of(id));
    if (entry->id.load(std::memory_order_relaxed) == id) entry->next = key;
}

void ToldNames::took_slot(std::uint64_t slot) {
    auto end = header_->slots_end.load(std::memory_order_relaxed);
    while (end <= slot && !header_->slots_end.compare_exchange_weak(end, slot + 1)) {
    }
}

void ToldNames::resume() {
    MutexLock lock(index_mutex_);
    first_slot_ = std::max<std::uint64_t>(header_->slots_end.load(), kRootId + 1);
    for (std::uint64_t slot = kRootId + 1; slot < std::min(first_slot_, kMost); ++slot) {
        const Entry& entry = entries_[slot];
        const NodeId id = entry.id.load(std::memory_order_acquire);
        if (id == 0) continue;
        waiting_.insert(id);
        by_place_[{entry.parent, std::string(entry.text())}] = id;
        by_key_[entry.key] = id;
        if (entry.next != sys::FileKey{}) by_key_[entry.next] = id;
    }
}

std::optional<ToldNames::Place> ToldNames::place_of(NodeId id) const {
    const Entry* entry = entry_of(id);
    if (!entry || NodeTable::slot_of(id) >= first_slot_) return std::nullopt;
    MutexLock lock(mutex_of(id));
    if (entry->id.load(std::memory_order_relaxed) != id) return std::nullopt;
    return Place{entry->parent, std::string(entry->text())};
}

bool ToldNames::fits(NodeId id, const Found& found) const {
    if (!waiting_.contains(id)) return false;
    const Entry* entry = entry_of(id);
    if (found.by_place && S_ISDIR(entry->key.type)) return true;
    return entry->has(found.key) || entry->has(found.original);
}

std::optional<NodeId> ToldNames::take(const Found& found) {
    MutexLock lock(index_mutex_);
    if (waiting_.empty()) return std::nullopt;
    const auto use = [&](NodeId id) REQUIRES(index_mutex_) -> std::optional<NodeId> {
        if (!fits(id, found)) return std::nullopt;
        waiting_.erase(id);
        return id;
    };
    const auto here = by_place_.find({found.parent, std::string(found.name)});
    if (here != by_place_.end()) {
        if (const auto id = use(here->second)) return id;
    }
    if (found.names_apart && !S_ISDIR(found.key.type)) return std::nullopt;
    for (const sys::FileKey& key : {found.key, found.original}) {
        const auto known = by_key_.find(key);
        if (known == by_key_.end()) continue;
        if (const auto id = use(known->second)) return id;
    }
    return std::nullopt;
}

bool ToldNames::waits(NodeId parent, std::string_view name) const {
    MutexLock lock(index_mutex_);
    if (waiting_.empty()) return false;
    const auto here = by_place_.find({parent, std::string(name)});
    return here != by_place_.end() && waiting_.contains(here->second);
}

std::vector<std::pair<NodeId, ToldNames::Place>> ToldNames::waiting() const {
    std::vector<NodeId> ids;
    {
        MutexLock lock(index_mutex_);
        ids.assign(waiting_.begin(), waiting_.end());
    }
    std::vector<std::pair<NodeId, Place>> out;
    for (const NodeId id : ids) {
        if (auto place = place_of(id)) out.emplace_back(id, std::move(*place));
    }
    return out;
}

void ToldNames::drop(NodeId id) {
    {
        MutexLock lock(index_mutex_);
        waiting_.erase(id);
    }
    if (NodeTable::slot_of(id) < first_slot_) clear(id);
}

}  // namespace plyfs

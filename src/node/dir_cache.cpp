#include "node/dir_cache.h"

#include <algorithm>

namespace plyfs {

DirCache::DirCache(std::size_t budget) : budget_(std::max<std::size_t>(budget / kShards, 4)) {}

SharedDir DirCache::find(const Node& node, BranchIndex branch) {
    Shard& shard = shard_of(node);
    MutexLock lock(shard.mutex);
    auto it = shard.places.find({&node, branch});
    if (it == shard.places.end()) return nullptr;
    shard.order.splice(shard.order.begin(), shard.order, it->second);
    return it->second->second;
}

void DirCache::erase(Shard& shard, Recency::iterator place, SharedDir& closed_later) {
    const Key key = place->first;
    closed_later = std::move(place->second);
    shard.places.erase(key);
    auto mine = shard.branches.find(key.node);
    std::erase(mine->second, key.branch);
    if (mine->second.empty()) shard.branches.erase(mine);
    shard.order.erase(place);
}

void DirCache::put(const Node& node, BranchIndex branch, SharedDir dir) {
    SharedDir closed_later;  // close(2) is a system call: after the lock
    Shard& shard = shard_of(node);
    MutexLock lock(shard.mutex);
    const Key key{&node, branch};
    if (auto it = shard.places.find(key); it != shard.places.end()) {
        closed_later = std::exchange(it->second->second, std::move(dir));
        return;
    }
    if (shard.order.size() >= budget_) erase(shard, std::prev(shard.order.end()), closed_later);
    shard.order.emplace_front(key, std::move(dir));
    shard.places.emplace(key, shard.order.begin());
    shard.branches[&node].push_back(branch);
}

void DirCache::drop(const Node& node) {
    std::vector<SharedDir> closed_later;
    Shard& shard = shard_of(node);
    MutexLock lock(shard.mutex);
    auto mine = shard.branches.find(&node);
    if (mine == shard.branches.end()) return;
    const auto branches = mine->second;
    for (BranchIndex branch : branches) {
        erase(shard, shard.places.at({&node, branch}), closed_later.emplace_back());
    }
}

void DirCache::drop(const Node& node, BranchIndex branch) {
    SharedDir closed_later;
    Shard& shard = shard_of(node);
    MutexLock lock(shard.mutex);
    auto it = shard.places.find({&node, branch});
    if (it != shard.places.end()) erase(shard, it->second, closed_later);
}

void DirCache::drop(BranchIndex branch) {
    for (auto& shard : shards_) {
        std::vector<SharedDir> closed_later;
        MutexLock lock(shard.mutex);
        for (auto place = shard.order.begin(); place != shard.order.end();) {
            const auto next = std::next(place);
            if (place->first.branch == branch) erase(shard, place, closed_later.emplace_back());
            place = next;
        }
    }
}

std::size_t DirCache::size() {
    std::size_t total = 0;
    for (auto& shard : shards_) {
        MutexLock lock(shard.mutex);
        total += shard.order.size();
    }
    return total;
}

}  // namespace plyfs

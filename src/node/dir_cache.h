// DirCache: O_PATH descriptors of directories on branches, the least recently used closed first. A descriptor names the
// directory itself, so it stays right when the directory is renamed. Sharded; the locks are leaves.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <unordered_map>

#include "base/fd.h"
#include "base/mutex.h"
#include "node/node.h"

namespace plyfs {

class DirCache {
  public:
    // At most about `budget` descriptors are kept; those in use are not closed and may exceed it for a moment.
    explicit DirCache(std::size_t budget);

    SharedDir find(const Node& node, BranchIndex branch);
    void put(const Node& node, BranchIndex branch, SharedDir dir);
    // Of all branches; `node` is not looked into.
    void drop(const Node& node);
    void drop(const Node& node, BranchIndex branch);
    // Of one branch, of all nodes.
    void drop(BranchIndex branch);
    std::size_t size();

  private:
    static constexpr std::size_t kShards = 16;
    struct Key {
        const Node* node;
        BranchIndex branch;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const {
            return (reinterpret_cast<std::uintptr_t>(key.node) >> 4) * 0x9e3779b97f4a7c15ULL +
                   static_cast<std::size_t>(key.branch);
        }
    };
    using Recency = std::list<std::pair<Key, SharedDir>>;
    struct Shard {
        Mutex mutex;
        Recency order GUARDED_BY(mutex);  // most recently used first
        std::unordered_map<Key, Recency::iterator, KeyHash> places GUARDED_BY(mutex);
        // How many branches of a node are cached: a file's drop costs one look instead of one per branch.
        std::unordered_map<const Node*, std::vector<BranchIndex>> branches GUARDED_BY(mutex);
    };
    // All branches of a node share a shard, so that drop() finds them together.
    Shard& shard_of(const Node& node) {
        return shards_[(reinterpret_cast<std::uintptr_t>(&node) >> 6) * 0x9e3779b97f4a7c15ULL >> 60 & (kShards - 1)];
    }
    static void erase(Shard& shard, Recency::iterator place, SharedDir& closed_later) REQUIRES(shard.mutex);

    std::size_t budget_;
    std::array<Shard, kShards> shards_;
};

}  // namespace plyfs

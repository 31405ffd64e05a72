// What the kernel was told of nodes, kept outside of the process that told it (app/supervise), so that the next one can
// find them again: for each id of NodeTable's making the directory and the name where its node was last seen, and what
// lay there. A node gets its id back when it is looked up first, whether the kernel asks for the name or for the id; an
// id that nobody asks for costs nothing.
//
// What is found is checked: a file by its key, or that of its original, and a directory by its place. Ids of LastingIds
// are not in here, they tell themselves what they are of.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "node/node.h"

namespace plyfs {

class ToldNames {
  public:
    static std::size_t bytes();
    // memory: zero, or as an earlier process has left it.
    explicit ToldNames(void* memory);

    // Told of by this process. Any thread.
    void note(NodeId id, NodeId parent, std::string_view name, const sys::FileKey& key);
    void clear(NodeId id);
    // What lies there has this key by now; and will have it, or still has the other one, from now on.
    void set_key(NodeId id, const sys::FileKey& key);
    void expect_key(NodeId id, const sys::FileKey& key);
    // A slot of NodeTable's was given an id; no later process may give it another.
    void took_slot(std::uint64_t slot);

    // Reads what the process before has left; before anything is served.
    void resume();
    bool resumed() const { return first_slot_ > 0; }
    // Ids below it were given out by earlier processes.
    std::uint64_t first_slot() const { return first_slot_; }
    // Of an earlier process's id, whose node may be there already.
    struct Place {
        NodeId parent;
        std::string name;
    };
    std::optional<Place> place_of(NodeId id) const;
    // The id that an object had which was found under a name, given away once.
    struct Found {
        NodeId parent;
        std::string_view name;
        sys::FileKey key;
        sys::FileKey original;
        bool by_place;     // whatever lies there is the same
        bool names_apart;  // another name of the file is another node
    };
    std::optional<NodeId> take(const Found& found);
    // Whether there was an object under a name that has not got its id yet.
    bool waits(NodeId parent, std::string_view name) const;
    // Whose nodes nobody has asked for yet.
    std::vector<std::pair<NodeId, Place>> waiting() const;
    // The kernel has forgotten it, or it must not come back.
    void drop(NodeId id);

  private:
    struct Header;
    struct Entry;
    struct PlaceHash {
        std::size_t operator()(const std::pair<NodeId, std::string>& place) const {
            return std::hash<std::string>()(place.second) ^ place.first * 0x9e3779b97f4a7c15ULL;
        }
    };
    struct KeyHash {
        std::size_t operator()(const sys::FileKey& key) const { return sys::hash_of(key); }
    };
    Entry* entry_of(NodeId id) const;
    Mutex& mutex_of(NodeId id) const { return entry_mutexes_[id % entry_mutexes_.size()]; }
    bool fits(NodeId id, const Found& found) const REQUIRES(index_mutex_);

    Header* header_;
    Entry* entries_;
    std::uint64_t first_slot_ = 0;
    mutable std::array<Mutex, 64> entry_mutexes_;
    mutable Mutex index_mutex_;
    std::unordered_set<NodeId> waiting_ GUARDED_BY(index_mutex_);
    std::unordered_map<std::pair<NodeId, std::string>, NodeId, PlaceHash> by_place_ GUARDED_BY(index_mutex_);
    std::unordered_map<sys::FileKey, NodeId, KeyHash> by_key_ GUARDED_BY(index_mutex_);
};

}  // namespace plyfs

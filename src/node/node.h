// Node: one object of the union (a file with all its hard links, or a merged directory) that the kernel holds
// references to. Nodes have no descriptor of their own: an object is found again by a parent and a name, and what is
// found is checked against the key, so that a name changed behind our back is noticed.
//
// A NodeId is the kernel's number for an inode object and not what stat shows: while old readers keep the file open
// that was copied up, the file has a retired id besides its current one (a Face each).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "node/backing.h"
#include "node/kept_descriptor.h"
#include "node/rarely.h"
#include "overlay/resolver.h"
#include "sys/stat.h"

namespace plyfs {

using NodeId = std::uint64_t;
inline constexpr NodeId kRootId = 1;

class LayerNames;
class Node;
class NodeTable;

// A counted reference to a node; keeps it and its ancestors in memory.
class NodeRef {
  public:
    NodeRef() = default;
    // Takes over a reference already counted.
    static NodeRef adopt(Node* node) { return NodeRef(node); }
    NodeRef(const NodeRef& other);
    NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    NodeRef& operator=(NodeRef other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~NodeRef();
    Node* get() const { return node_; }
    Node* operator->() const { return node_; }
    Node& operator*() const { return *node_; }
    explicit operator bool() const { return node_ != nullptr; }
    friend bool operator==(const NodeRef& a, const NodeRef& b) { return a.node_ == b.node_; }

  private:
    friend class NodeTable;
    explicit NodeRef(Node* node) : node_(node) {}
    Node* node_ = nullptr;
};

struct Link {
    NodeRef parent;
    std::string name;
    friend bool operator==(const Link&, const Link&) = default;
};

// What the kernel has open through one node id.
struct Opens {
    std::uint32_t passthrough = 0;  // those served from the winner among them: they carry the backing as well
    std::uint32_t cached = 0;
    std::shared_ptr<Backing> backing;      // shared by all passthrough opens
    std::vector<KeptDescriptor*> kept;     // of all opens, by the node's lock
    std::vector<std::int32_t> told_stale;  // callers sent back to walk again, until a lookup answers this node
    bool any() const { return passthrough + cached != 0; }
};

// What lay on one branch for a directory at one moment; differs after each change of its names there.
struct DirPart {
    sys::FileKey key;
    std::int64_t seconds = 0;  // the time of the last change
    std::uint32_t nanoseconds = 0;
    friend bool operator==(const DirPart&, const DirPart&) = default;
};

// Of a directory whose branches others may change: when it was last known to have no other parts (ops/parts).
struct PartsKnown {
    static constexpr std::uint32_t kNever = 0xffffffff;
    std::uint32_t news = 0;          // Tree::parts_news()
    std::uint32_t parents = kNever;  // layers_replaced of the parent
    std::uint32_t at = 0;            // milliseconds of a steady clock
    friend bool operator==(const PartsKnown&, const PartsKnown&) = default;
};

// Of a directory: whether the listing that the kernel keeps is still right (ops/dirs).
struct Listings {
    std::uint32_t open = 0;      // handles
    std::vector<DirPart> parts;  // as they were before the kept listing was read; empty: what is kept is not known
    std::chrono::steady_clock::time_point read;
    // Handles that have begun to read the one part there is, by that part's own offsets, and have not come to its end:
    // they miss what moves to another part (node/move).
    std::uint32_t by_offsets = 0;
    std::chrono::steady_clock::time_point by_offsets_read;  // the last time
};

struct Face {
    NodeId id = 0;
    std::uint64_t lookups = 0;  // references the kernel will FORGET
    std::unique_ptr<Opens> opens;
    Opens& need_opens() {
        if (!opens) opens = std::make_unique<Opens>();
        return *opens;
    }
};

// Of a directory: whether objects in its upper part are marked as copies of others, and have to be asked for that.
enum class Impure : std::uint8_t { unknown, no, yes };

// What only a directory has.
struct AsDirectory {
    static constexpr std::uint16_t kNeverShown = 0xffff;
    std::vector<BranchIndex> layers;  // where it exists and is merged, the winner first
    std::unique_ptr<Listings> listings;
    std::shared_ptr<const LayerNames> layer_names;  // of `layers`; null: not read
    std::uint32_t asked_in_vain = 0;                // read-only layers that lacked what was looked for
    std::uint32_t layers_replaced = 0;              // how often other directories became the layers
    std::uint32_t said = 0;                         // how often all its parts were changed
    PartsKnown parts_known;
    std::uint16_t allowed = kNeverShown;  // the permissions that were shown last, of all its parts
    Impure impure = Impure::unknown;
};

// What few nodes have.
struct Rare {
    std::vector<std::unique_ptr<Face>> retired;
    sys::FileKey original;                  // of what the winner was copied up from; leads here as well
    Detours detours;                        // where layers and content are, on branches that have them elsewhere
    std::unique_ptr<std::string> redirect;  // what a writable winner says of it; see marks::read_redirect
    std::unique_ptr<std::string> index;     // its name in the index (overlay/index.h), by which it is found; null: none
    NodeRef kept;               // to itself while names of the original still lie below: only this node knows the copy
    NodeRef remembered;         // to itself, so that a file handle leads here until the file is gone
    std::int64_t pages_of = 0;  // when the status of the file had changed that the kernel's pages were read from
    std::uint32_t hidden_links = 0;   // names of the copied-up original that still lie below
    std::uint32_t removed_links = 0;  // names of a read-only winner that whiteouts hide
    std::uint32_t branch_locks = 0;   // locks that opens may hold on the branch's own file (ops/locks)
};

// The mutable part, reached only through LockedNode. There are as many as the kernel knows files: what most of them do
// not have is elsewhere.
struct NodeState {
    Face face;
    sys::FileKey key;         // of the winner
    std::vector<Link> links;  // known names; empty once unlinked (and for the root)
    std::uint64_t shown_inode = 0;
    Rarely<AsDirectory> as_dir;
    Rarely<Rare> rare;
    UniqueFd pinned;                  // O_PATH of an object without a name
    std::uint32_t id_generation = 0;  // of a lasting id (node/lasting_ids)
    std::uint32_t renames = 0;        // begun
    std::uint32_t writers = 0;        // open handles that may write
    std::uint32_t changing = 0;       // requests that change the object at this moment (node/changing)
    BranchIndex winner = -1;
    BranchIndex content_branch = -1;  // of a metacopy: where its content lies; -1: the winner has it
    // That nobody but us enforces: of layers below the upper one, and the upper one's marks.
    sys::Protection protection;
    bool copying = false;             // one thread copies it up, or elsewhere; others wait for Tree's condition
    bool moving = false;              // one thread moves it to another branch, or is about to
    bool passed_through = false;      // ever: maps of the file, which nobody tells us of, may be left
    bool had_writer = false;          // its times may change without a request (mmap): short attribute timeout
    bool changed_since_copy = false;  // the copy's bytes may differ from the original's
    bool unlinked = false;
    bool pinned_while_open = false;  // it has lost its name behind our back (node/open_object)
    bool told = false;               // the kernel was given an id
    bool marked = false;             // overlay.origin: directories it comes to have to say that they hold such
    bool lacks_names = false;        // some of `links` could not be made for want of room, and lie below only
    bool below_names = false;        // of an indexed file: some of `links` may still lie below only

    Face* face_of(NodeId id) {
        if (face.id == id) return &face;
        for (const auto& old : rare->retired) {
            if (old->id == id) return old.get();
        }
        return nullptr;
    }
};

class Node {
  public:
    Node(NodeTable& table, std::uint32_t type) : table_(table), type_(type) {}
    std::uint32_t type() const { return type_; }  // S_IFMT bits, constant
    bool is_dir() const { return S_ISDIR(type_); }
    bool is_regular() const { return S_ISREG(type_); }
    // Raised whenever another object becomes the winner.
    std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }
    // Raised whenever another file becomes the source of the node's bytes: not by a copy-up of attributes alone.
    std::uint32_t data_generation() const { return data_generation_.load(std::memory_order_acquire); }

  private:
    friend class NodeRef;
    friend class NodeTable;
    friend class LockedNode;
    NodeTable& table_;
    std::atomic<std::uint64_t> references_{1};
    const std::uint32_t type_;
    std::atomic<std::uint32_t> generation_{0};
    std::atomic<std::uint32_t> data_generation_{0};
    Mutex mutex_;
    NodeState state_ GUARDED_BY(mutex_);
};

// The proof of a node's lock, and the only door to its state.
class SCOPED_CAPABILITY LockedNode {
  public:
    explicit LockedNode(Node& node) ACQUIRE(node.mutex_) : node_(node) { node_.mutex_.lock(); }
    ~LockedNode() RELEASE() { node_.mutex_.unlock(); }
    LockedNode(const LockedNode&) = delete;
    LockedNode& operator=(const LockedNode&) = delete;

    Node& node() { return node_; }
    NodeRef reference() NO_THREAD_SAFETY_ANALYSIS {
        node_.references_.fetch_add(1, std::memory_order_relaxed);
        return NodeRef::adopt(&node_);
    }
    NodeState* operator->() NO_THREAD_SAFETY_ANALYSIS { return &node_.state_; }
    NodeState& operator*() NO_THREAD_SAFETY_ANALYSIS { return node_.state_; }
    void next_generation() { node_.generation_.fetch_add(1, std::memory_order_acq_rel); }
    void next_data_generation() { node_.data_generation_.fetch_add(1, std::memory_order_acq_rel); }
    template <typename Duration>
    void wait_for(CondVar& condition, Duration d) NO_THREAD_SAFETY_ANALYSIS {
        condition.wait_for(node_.mutex_, d);
    }

  private:
    Node& node_;
};

}  // namespace plyfs

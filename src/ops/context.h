// What every operation works on, and who asks. Operations are functions over these: typed values in, Result out, no
// FUSE type, exactly one return. Nothing here is changed by an operation but through the tree and the counters.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "node/copy_up.h"
#include "node/kernel_cache.h"
#include "node/tree.h"
#include "ops/timeouts.h"
#include "sys/cred.h"

namespace plyfs::ops {

struct OpenCounters {
    std::atomic<std::uint64_t> passthrough{0};
    std::atomic<std::uint64_t> cached{0};
    std::atomic<std::uint64_t> direct{0};
};

struct Context {
    Tree& tree;
    BackingRegistrar& registrar;
    Timeouts timeouts;
    // RELEASE comes later than close(2) over /dev/fuse, so an open waits a moment for it before it splits a node.
    std::atomic<bool> releases_are_late = true;
    OpenCounters opens;
    // Of every node id of this mount: a file handle from an earlier one leads nowhere.
    std::uint64_t generation = 0;
    std::atomic<int> half_read{0};        // open directories; their places are of this daemon's branches
    bool exclusive = false;               // nobody else changes the branches, and the kernel relies on it: layers
    KernelCache* kernel_cache = nullptr;  // of the mount that is served; null: there is none
};

// What the kernel keeps of the node's attributes is asked for anew.
inline void expire_attributes(Context& ctx, NodeId id) {
    if (ctx.kernel_cache) static_cast<void>(ctx.kernel_cache->expire_attributes(id));  // ENOENT: it keeps none
}

struct Request {
    sys::Caller caller;               // with the ids it has on the branches
    std::function<bool()> cancelled;  // the caller was interrupted; may be empty
    bool may_block = true;            // see CopyUpRequest
    bool resent = false;              // an earlier process has read it as well, and may have done it (ops/again)
    CopyUpRequest copy_up(std::uint64_t keep_bytes = kAllData) const {
        return {.keep_bytes = keep_bytes, .may_block = may_block, .cancelled = cancelled};
    }
    CopyUpRequest copy_up_metadata() const {
        return {.metadata_only = true, .may_block = may_block, .cancelled = cancelled};
    }
};

// The supplementary groups of the caller, with the ids they have on the branches; none when they can not be told.
inline std::vector<gid_t> groups_of(const IdMap& ids, const sys::Caller& caller) {
    auto groups = sys::read_groups(caller.pid);
    return groups ? ids.disk_gids(std::move(*groups)) : std::vector<gid_t>{};
}

// What stat shows of a node, and for how long.
struct Attr {
    sys::Stat st;  // inode number and link count are the union's
    double timeout = 0;
};

// An answer that gives the kernel a node: counted as one lookup when it is returned. Whoever can not deliver it must
// forget() it.
struct Entry {
    NodeId id = 0;
    Attr attr;
    double timeout = 0;
    std::uint64_t generation = 0;  // of the id
};

}  // namespace plyfs::ops

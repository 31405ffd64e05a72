// Reading directories of the union.
#pragma once

#include <atomic>

#include "ops/lookup.h"
#include "overlay/listing.h"

namespace plyfs::ops {

class DirHandle {
  public:
    DirHandle(NodeRef node, Layers layers, std::vector<std::uint64_t> devices, std::shared_ptr<const BranchSet> set,
              OwnNames hidden, bool keep_listing, std::uint32_t layers_replaced, std::atomic<int>& half_read)
        : node_(std::move(node)),
          all_half_read_(half_read),
          devices_(std::move(devices)),
          listing_(std::move(set), std::move(layers), hidden),
          keep_listing_(keep_listing),
          layers_replaced_(layers_replaced) {}
    // The kernel may serve this handle from the listing it kept.
    bool keep_listing() const { return keep_listing_; }
    // In place of one of an earlier daemon's, before it is read: where that was is asked for, and may be another place.
    void succeed() { succeeds_ = true; }
    // Whether somebody has read some of it and not come to its end: what is counted in Context::half_read.
    void note_half_read(bool half) {
        if (half_read_.exchange(half) != half) all_half_read_.fetch_add(half ? 1 : -1);
    }

  private:
    friend class DirReading;
    friend void releasedir(DirHandle* handle);
    NodeRef node_;
    std::atomic<int>& all_half_read_;
    std::atomic<bool> half_read_{false};
    std::vector<std::uint64_t> devices_;  // of each layer
    Mutex mutex_;
    Listing listing_ GUARDED_BY(mutex_);
    std::int64_t at_ GUARDED_BY(mutex_) = 0;
    bool by_offsets_ GUARDED_BY(mutex_) = false;  // counted in Listings::by_offsets
    const bool keep_listing_;
    bool succeeds_ = false;
    std::uint32_t layers_replaced_ GUARDED_BY(mutex_);  // of the node, when it had the listing's layers
};

// Owned by the kernel's open directory: give it to releasedir().
Result<DirHandle*> opendir(Context& ctx, NodeId id);
void releasedir(DirHandle* handle);

// Where entries go; false: no room, and the entry will be given again at the next call.
class DirSink {
  public:
    virtual ~DirSink() = default;
    // entry: with what the kernel gets to know of the node, if it was asked for; a lookup is counted when it is taken.
    virtual bool add(std::string_view name, std::uint64_t inode, unsigned char type, std::int64_t next,
                     const Entry* entry) = 0;
};

// From an offset given out before; 0 is the beginning. An error after some entries is the next call's. ESTALE: an
// earlier daemon gave it out, and other names came before it.
Status readdir(Context& ctx, DirHandle& handle, std::int64_t offset, bool plus, DirSink& sink);
// Makes names that were made or removed on all of its branches durable.
Status fsyncdir(Context& ctx, NodeId id, bool data_only);

}  // namespace plyfs::ops

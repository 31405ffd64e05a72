// Opening files: which io mode an open gets, the handle it is known by, and its end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "node/io_mode.h"
#include "ops/context.h"

namespace plyfs::ops {

// One open file of the kernel's. Its descriptor is made when it is first needed: a file in passthrough mode is read and
// written without us. In the other modes it always leads to the file that answers now, also after a copy-up, so that
// no page of an old file ever enters the cache of a new one.
class FileHandle {
  public:
    FileHandle(NodeRef node, NodeId id, int flags, IoMode mode)
        : node_(std::move(node)), id_(id), flags_(flags), mode_(mode) {}
    const NodeRef& node() const { return node_; }
    NodeId id() const { return id_; }
    IoMode mode() const { return mode_; }
    int flags() const { return flags_; }
    bool writes() const;
    bool passes_through() const;
    // As of its status, when a file was changed that was written through the kernel's pages; 0: it was not, or it is
    // not known. Nanoseconds.
    std::int64_t last_written();

    // A descriptor with the handle's access, for I/O with explicit offsets; kept by the caller as long as he uses it.
    Result<SharedFd> descriptor(Context& ctx);
    // One of another copy instead of `unread`, which could not be read, for who only reads. EIO: there is none.
    Result<SharedFd> fail_over(Context& ctx, const SharedFd& unread);
    // The first descriptor, from the open itself.
    void start_with(UniqueFd fd, std::uint32_t generation);
    KeptDescriptor& kept() { return kept_; }
    // flock(2) through it holds a lock on the branch's file (ops/locks); by the node's lock.
    bool& has_branch_lock() { return has_branch_lock_; }
    // Where it is written down for who takes over, by whoever writes it.
    std::uint32_t& record() { return record_; }

  private:
    Result<UniqueFd> open_copy(Context& ctx, const sys::Stat& like) REQUIRES(mutex_);
    void keep(const SharedFd& fd, std::uint32_t generation);

    NodeRef node_;
    NodeId id_;
    int flags_;
    IoMode mode_;
    KeptDescriptor kept_;
    bool has_branch_lock_ = false;
    std::uint32_t record_ = ~0U;
    Mutex mutex_;
    std::vector<BranchIndex> unreadable_ GUARDED_BY(mutex_);  // whose copies were tried
};

struct Opened {
    FileHandle* handle = nullptr;  // owned by the kernel's open file: give it to release()
    IoMode mode = IoMode::cached;
    std::int32_t backing_id = 0;
    bool keep_cache = false;
    bool first_writer = false;  // nobody else has the file open for writing
};

// flags as open(2), without O_CREAT. ESTALE and EBUSY: see node/io_mode.h. The file is truncated only once the open can
// not fail any more for its mode. kill_privileges: the truncation takes setuid and the like away.
Result<Opened> open(Context& ctx, const Request& request, NodeId id, int flags, bool kill_privileges = false);
// Why an open of this moment would not get passthrough; empty: it would, if the kernel takes its branch's files.
std::string passthrough_obstacle(Context& ctx, const NodeRef& node, bool writes);
// For a file just created: it is at hand.
Result<Opened> open_new(Context& ctx, NodeId id, int flags, Located created);
// Also for an open whose reply did not reach the kernel, which then sends no RELEASE.
void release(Context& ctx, FileHandle* handle);

}  // namespace plyfs::ops

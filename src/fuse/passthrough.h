// Registering backing files with the kernel: the two ioctls on the session's descriptor.
#pragma once

#include <atomic>

#include "node/backing.h"
#include "node/tree.h"

struct fuse_session;

namespace plyfs::fuse {

class PassthroughRegistrar : public BackingRegistrar {
  public:
    explicit PassthroughRegistrar(TreeCounters& counters) : counters_(counters) {}
    // After INIT: the kernel offered it and we asked for it.
    void enable(fuse_session* session);

    bool available() const override { return session_.load(std::memory_order_acquire) != nullptr; }
    // A first EPERM means that the kernel refuses us altogether: available() is false from then on.
    Result<std::int32_t> open(BorrowedFd fd) override;
    void close(std::int32_t id) override;

  private:
    TreeCounters& counters_;
    std::atomic<fuse_session*> session_{nullptr};
    std::atomic<fuse_session*> closing_{nullptr};  // ids given out are closed also after a refusal
};

}  // namespace plyfs::fuse

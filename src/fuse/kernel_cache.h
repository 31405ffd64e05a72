// SessionCache: the kernel's cache of a mount, by libfuse's notifications.
#pragma once

#include <functional>
#include <string>

#include "node/kernel_cache.h"

struct fuse_session;

namespace plyfs::fuse {

class SessionCache : public KernelCache {
  public:
    // Outlived by the session. on_trust: what to do about the timeouts.
    SessionCache(fuse_session* session, std::string mountpoint, std::function<void(bool)> on_trust)
        : session_(session), mountpoint_(std::move(mountpoint)), on_trust_(std::move(on_trust)) {}

    Status expire_name(NodeId dir, std::string_view name) override;
    Status expire_attributes(NodeId id) override;
    Status expire_object(NodeId id) override;
    void trust(bool watched) override { on_trust_(watched); }
    void abandon() override;

  private:
    fuse_session* const session_;
    const std::string mountpoint_;
    const std::function<void(bool)> on_trust_;
};

}  // namespace plyfs::fuse

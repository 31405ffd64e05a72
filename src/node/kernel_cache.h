// KernelCache: what the kernel keeps of the mount and is to ask anew, and how long it may keep what it is told.
#pragma once

#include <string_view>

#include "node/node.h"

namespace plyfs {

class KernelCache {
  public:
    virtual ~KernelCache() = default;

    // ENOENT: the kernel keeps nothing of it. Any other error: it can not be told.
    //
    // May wait until requests in that directory are answered, which the kernel has locked for them: so it is never
    // called with a lock held, nor by a thread that requests wait for.
    virtual Status expire_name(NodeId dir, std::string_view name) = 0;
    virtual Status expire_attributes(NodeId id) = 0;
    // And what it keeps of the content. May wait for reads under way.
    virtual Status expire_object(NodeId id) = 0;
    // Whether each change on a branch is heard of, so that answers may be kept long. By one thread at a time.
    virtual void trust(bool watched) = 0;
    // Ends the mount's connection, so that whoever waits for a lock in the kernel does so no longer.
    virtual void abandon() = 0;
};

}  // namespace plyfs

// New names: files, directories, symlinks, special files, made as the caller on the branch that the placement
// policy chooses.
#pragma once

#include "ops/lookup.h"
#include "ops/open.h"

namespace plyfs::ops {

Result<Entry> mkdir(Context& ctx, const Request& request, NodeId parent, const Name& name, mode_t mode);
Result<Entry> mknod(Context& ctx, const Request& request, NodeId parent, const Name& name, mode_t mode, dev_t device);
Result<Entry> symlink(Context& ctx, const Request& request, NodeId parent, const Name& name, const char* target);

struct Created {
    Entry entry;
    Opened opened;
};
// flags as open(2). A file that exists already (made on a branch since the kernel looked) is opened, unless O_EXCL.
Result<Created> create(Context& ctx, const Request& request, NodeId parent, const Name& name, int flags, mode_t mode);
Result<Created> tmpfile(Context& ctx, const Request& request, NodeId parent, int flags, mode_t mode);

}  // namespace plyfs::ops

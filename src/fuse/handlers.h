// The request handlers, by topic; each fills in its rows of libfuse's table. A kind of request that we do not serve has
// a row too: it is named in the log once, not silently refused.
#pragma once

#include "fuse/libfuse.h"

namespace plyfs::fuse {

void add_name_handlers(fuse_lowlevel_ops& table);
void add_attribute_handlers(fuse_lowlevel_ops& table);
void add_file_handlers(fuse_lowlevel_ops& table);
void add_dir_handlers(fuse_lowlevel_ops& table);
// Only with locks=forward: without these rows the kernel keeps the locks of the mount itself. Replaces flush.
void add_lock_handlers(fuse_lowlevel_ops& table);

}  // namespace plyfs::fuse

// Names that go: unlink, rmdir and rename.
#pragma once

#include "ops/lookup.h"

namespace plyfs::ops {

Status unlink(Context& ctx, const Request& request, NodeId parent, const Name& name);
Status rmdir(Context& ctx, const Request& request, NodeId parent, const Name& name);
// flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. EXDEV: the caller has to copy (overlay/rename_plan.h).
Status rename(Context& ctx, const Request& request, NodeId parent, const Name& name, NodeId new_parent,
              const Name& new_name, unsigned flags);

}  // namespace plyfs::ops

// Names that go: unlink, rmdir and rename.
#pragma once

#include "ops/lookup.h"

namespace plyfs::ops {

Status unlink(Context& ctx, const Request& request, NodeId parent, const Name& name);
Status rmdir(Context& ctx, const Request& request, NodeId parent, const Name& name);
// A name in a directory that may or may not be there.
struct Place {
    NodeRef parent;
    Name name;
};
// Where a rename may lead: to any branch's directory, which is made, or as the create policy says.
enum class Where { as_policies_say, anywhere };
// The rename as a whole, without what is done when it is EXDEV.
Status move_name(Context& ctx, const Request& request, const Place& from, const Place& to, unsigned flags, Where where);
// flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. EXDEV: the caller has to copy (overlay/rename_plan.h).
Status rename(Context& ctx, const Request& request, NodeId parent, const Name& name, NodeId new_parent,
              const Name& new_name, unsigned flags);

}  // namespace plyfs::ops

// Requests that the kernel sends again because the process that read them has died: they may have been done. As over
// NFS, what a request wanted and is there counts as done by it.
#pragma once

#include "ops/create.h"

namespace plyfs::ops {

// Of mkdir, mknod, symlink and link, type in S_IFMT bits (0: any but a directory): EEXIST is the object, if it is of
// that type.
Result<Entry> made_before(Context& ctx, const Request& request, Result<Entry> made, NodeId parent, const Name& name,
                          mode_t type);
// Of create with O_EXCL: EEXIST opens the file.
int flags_again(const Request& request, int flags);
// Of unlink and rmdir: ENOENT is done.
Status removed_before(const Request& request, Status removed);
// Of rename: ENOENT is done if the new name is there. With RENAME_EXCHANGE nobody can tell.
Status renamed_before(Context& ctx, const Request& request, Status renamed, NodeId new_parent, const Name& new_name);

}  // namespace plyfs::ops

#include "ops/again.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace plyfs::ops {

Result<Entry> made_before(Context& ctx, const Request& request, Result<Entry> made, NodeId parent, const Name& name,
                          mode_t type) {
    if (!request.resent || !made.failed_with(EEXIST)) return made;
    auto there = lookup(ctx, parent, name);
    if (!there) return made;
    const mode_t is = there->attr.st.stx_mode & S_IFMT;
    if (type == 0 ? is != S_IFDIR : is == type) return there;
    forget(ctx, there->id, 1);
    return made;
}

int flags_again(const Request& request, int flags) {
    return request.resent ? flags & ~O_EXCL : flags;
}

Status removed_before(const Request& request, Status removed) {
    if (request.resent && removed.failed_with(ENOENT)) return {};
    return removed;
}

Status renamed_before(Context& ctx, const Request& request, Status renamed, NodeId new_parent, const Name& new_name) {
    if (!request.resent || !renamed.failed_with(ENOENT)) return renamed;
    auto there = lookup(ctx, new_parent, new_name);
    if (!there) return renamed;
    forget(ctx, there->id, 1);
    return {};
}

}  // namespace plyfs::ops

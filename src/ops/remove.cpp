#include "ops/remove.h"

#include "ops/gone.h"

namespace plyfs::ops {
namespace {

enum class Kind { file, directory };

// One try; this stands for "a copy-up came in between, look again" and does not leave this file. No file system
// call has this error.
constexpr int kAgain = ESTRPIPE;

Status remove_once(Context& ctx, const NodeRef& parent, const Name& name, Kind kind) {
    const AtName at = TRY(look_at(ctx, parent, name));
    const bool is_dir = sys::is_dir(at.winner().st);
    if (kind == Kind::file && is_dir) return Errno(EISDIR);
    if (kind == Kind::directory && !is_dir) return Errno(ENOTDIR);
    TRY(require_removable(at));
    if (is_dir) TRY(require_empty(ctx, name, at));
    SharedDir hiding;
    if (!ctx.tree.set().at(at.winner().branch).writable()) hiding = TRY(prepare_hiding(ctx, parent, at));
    if (!at.node) return remove_everywhere(ctx, name, at, hiding);

    LockedNode node(*at.node);
    wait_until_copied(ctx.tree, node);
    if (at.node->generation() != at.generation) return Errno(kAgain);
    TRY(pin_if_last(ctx, node, parent, name, at));
    auto removed = remove_everywhere(ctx, name, at, hiding);
    if (removed) {
        forget_name(ctx, node, parent, name, at);
    } else if (!node->unlinked) {
        node->pinned.reset();
    }
    return removed;
}

Status remove_name(Context& ctx, NodeId parent_id, const Name& name, Kind kind) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    for (;;) {
        auto removed = remove_once(ctx, parent, name, kind);
        if (!removed.failed_with(kAgain)) return removed;
    }
}

}  // namespace

Status unlink(Context& ctx, NodeId parent, const Name& name) {
    return remove_name(ctx, parent, name, Kind::file);
}

Status rmdir(Context& ctx, NodeId parent, const Name& name) {
    return remove_name(ctx, parent, name, Kind::directory);
}

}  // namespace plyfs::ops

#include "ops/remove.h"

#include "ops/gone.h"

namespace plyfs::ops {
namespace {

enum class Kind { file, directory };

// look_again: a copy-up came in between.
enum class Outcome { done, look_again };

Result<Outcome> remove_once(Context& ctx, const Request& request, const NodeRef& parent, const Name& name, Kind kind) {
    const AtName at = TRY(look_at(ctx, parent, name));
    const bool is_dir = sys::is_dir(at.winner().st);
    if (kind == Kind::file && is_dir) return Errno(EISDIR);
    if (kind == Kind::directory && !is_dir) return Errno(ENOTDIR);
    TRY(require_removable(at));
    if (is_dir) TRY(require_empty(ctx, name, at));
    SharedDir hiding;
    if (!ctx.tree.set().at(at.winner().branch).writable()) hiding = TRY(prepare_hiding(ctx, parent, at));
    if (!at.node) {
        TRY(remove_everywhere(ctx, name, at, hiding));
        return Outcome::done;
    }

    LockedNode node(*at.node);
    TRY(wait_until_copied(ctx.tree, node, request.copy_up()));
    if (at.node->generation() != at.generation) return Outcome::look_again;
    TRY(pin_if_last(node, parent, name, at));
    if (auto removed = remove_everywhere(ctx, name, at, hiding); !removed) {
        unpin(node);
        return removed.error();
    }
    forget_name(ctx, node, parent, name, at);
    return Outcome::done;
}

Status remove_name(Context& ctx, const Request& request, NodeId parent_id, const Name& name, Kind kind) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    while (TRY(remove_once(ctx, request, parent, name, kind)) == Outcome::look_again) continue;
    return {};
}

}  // namespace

Status unlink(Context& ctx, const Request& request, NodeId parent, const Name& name) {
    return remove_name(ctx, request, parent, name, Kind::file);
}

Status rmdir(Context& ctx, const Request& request, NodeId parent, const Name& name) {
    return remove_name(ctx, request, parent, name, Kind::directory);
}

}  // namespace plyfs::ops

#include "ops/remove.h"

#include "ops/gone.h"
#include "sys/entry.h"

namespace plyfs::ops {
namespace {

enum class Kind { file, directory };

// One try; these stand for "a copy-up came in between, look again" and "it holds marks or more, look inside first" and
// do not leave this file. No file system call has these errors.
constexpr int kAgain = ESTRPIPE;
constexpr int kLookInside = EUNATCH;

enum class Inside { unknown, may_hold_marks };

// A directory that lies on one branch which may be modified: whether it is empty need not be found out first, its file
// system says so when it is removed. ENOTEMPTY there may still mean one that holds whiteouts only.
bool is_plain_dir(Context& ctx, const AtName& at) {
    return sys::is_dir(at.winner().st) && at.hits.size() == 1 && ctx.tree.set().at(at.winner().branch).writable();
}

Status remove_plain_dir(Context& ctx, const Name& name, const AtName& at) {
    auto removed = sys::remove_dir(at.layer(at.winner().branch).fd(), name);
    return removed.failed_with(ENOTEMPTY) && ctx.tree.set().uses_marks() ? Status(Errno(kLookInside)) : removed;
}

Status remove_once(Context& ctx, const NodeRef& parent, const Name& name, Kind kind, Inside inside) {
    AtName at = TRY(look_at(ctx, parent, name, Open::winner));
    if (!is_seen(at)) return Errno(ENOENT);
    const bool is_dir = sys::is_dir(at.winner().st);
    if (kind == Kind::file && is_dir) return Errno(EISDIR);
    if (kind == Kind::directory && !is_dir) return Errno(ENOTDIR);
    TRY(require_removable(at));
    const bool plain = inside == Inside::unknown && is_plain_dir(ctx, at);
    if (is_dir && !plain) TRY(require_empty(ctx, name, at));
    const auto remove = [&](const SharedDir& hiding) {
        return plain ? remove_plain_dir(ctx, name, at) : remove_everywhere(ctx, name, at, hiding);
    };
    SharedDir hiding;
    if (!ctx.tree.set().at(at.winner().branch).writable()) hiding = TRY(prepare_hiding(ctx, parent, at));
    if (!at.node) return remove(hiding);

    LockedNode node(*at.node);
    wait_until_copied(ctx.tree, node);
    if (at.node->generation() != at.generation) return Errno(kAgain);
    pin_if_last(node, parent, name, at);
    auto removed = remove(hiding);
    if (removed) {
        forget_name(ctx, node, parent, name, at);
    } else if (!node->unlinked) {
        node->pinned.reset();
    }
    return removed;
}

Status remove_name(Context& ctx, NodeId parent_id, const Name& name, Kind kind) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    for (Inside inside = Inside::unknown;;) {
        auto removed = remove_once(ctx, parent, name, kind, inside);
        if (removed.failed_with(kLookInside)) {
            inside = Inside::may_hold_marks;
        } else if (!removed.failed_with(kAgain)) {
            return removed;
        }
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

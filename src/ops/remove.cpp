#include "ops/remove.h"

#include <optional>

#include "ops/copies.h"
#include "ops/gone.h"
#include "ops/revive.h"
#include "sys/entry.h"

namespace plyfs::ops {
namespace {

enum class Kind { file, directory };

// look_again: a copy-up came in between. look_inside: it holds marks or more.
enum class Outcome { done, look_again, look_inside };
enum class Inside { unknown, may_hold_marks };

// A directory that lies on one branch which may be modified, and is not redirected to others: whether it is empty need
// not be found out first, its file system says so when it is removed. ENOTEMPTY there may still mean one that holds
// whiteouts only.
bool is_plain_dir(Context& ctx, const AtName& at) {
    if (!sys::is_dir(at.winner().st) || at.hits.size() != 1 || !at.node) return false;
    if (!ctx.tree.set().at(at.winner().branch).writable()) return false;
    return LockedNode(*at.node)->as_dir->layers.size() == 1;
}

Result<Outcome> remove_plain_dir(Context& ctx, const Name& name, const AtName& at) {
    auto removed = sys::remove_dir(at.layer(at.winner().branch).fd(), name);
    if (removed.failed_with(ENOTEMPTY) && ctx.tree.set().uses_marks()) return Outcome::look_inside;
    if (!removed) return removed.error();
    return Outcome::done;
}

// The one copy that goes, by an action policy that does not take all: what others there are is seen afterwards. None:
// all go.
Result<std::optional<BranchIndex>> copy_to_remove(Context& ctx, const AtName& at, Kind kind) {
    const auto function = kind == Kind::file ? config::Function::unlink : config::Function::rmdir;
    if (kind == Kind::file && ctx.tree.pool().unlink_winner) return std::optional(at.winner().branch);
    return chosen_copy(ctx, function, at.hits);
}

Status remove_copy(Context& ctx, const Name& name, const AtName& at, BranchIndex branch) {
    const NodeRef node = at.node;
    auto removed = remove_on(ctx, at.layer(branch), name);
    if (removed && node && node->is_dir()) ctx.tree.dirs().drop(*node, branch);
    return removed;
}

Result<Outcome> remove_once(Context& ctx, const Request& request, const NodeRef& parent, const Name& name, Kind kind,
                            Inside inside, NodeRef& lost) {
    AtName at = TRY(look_at(ctx, parent, name, Open::winner));
    if (!is_seen(at)) return Errno(ENOENT);
    const bool is_dir = sys::is_dir(at.winner().st);
    if (kind == Kind::file && is_dir) return Errno(EISDIR);
    if (kind == Kind::directory && !is_dir) return Errno(ENOTDIR);
    TRY(require_removable(ctx, parent, name, at));
    TRY(require_all_parts(ctx, at));
    const auto chosen = TRY(copy_to_remove(ctx, at, kind));
    // Where marks are used a directory is taken away with what is in it.
    if (chosen && is_dir && ctx.tree.set().uses_marks()) TRY(require_empty(ctx, name, at));
    if (chosen && *chosen != at.winner().branch) {
        TRY(remove_copy(ctx, name, at, *chosen));
        return Outcome::done;
    }
    if (chosen) std::erase_if(at.hits, [&](const Hit& hit) { return hit.branch != *chosen; });
    const bool plain = inside == Inside::unknown && is_plain_dir(ctx, at);
    if (is_dir && !plain && !chosen) TRY(require_empty(ctx, name, at));
    const auto remove = [&](const Layer& hiding) -> Result<Outcome> {
        if (plain) return remove_plain_dir(ctx, name, at);
        TRY(remove_everywhere(ctx, name, at, hiding));
        return Outcome::done;
    };
    TRY(require_hideable(ctx, name, at));
    if (TRY(copy_for_count(ctx, request, at))) return Outcome::look_again;
    Layer hiding{-1, nullptr};
    if (!ctx.tree.set().at(at.winner().branch).writable()) hiding = TRY(prepare_hiding(ctx, parent, at));
    if (!at.node) return remove(hiding);

    LockedNode node(*at.node);
    TRY(wait_until_copied(ctx.tree, node, request.copy_up()));
    if (!is_as_seen(at, node)) return Outcome::look_again;
    pin_if_last(node, parent, name, at);
    auto removed = remove(hiding);
    if (!removed || *removed != Outcome::done) {
        unpin(node);
        return removed;
    }
    forget_name(ctx, node, parent, name, at);
    lost = at.node;
    return Outcome::done;
}

Status remove_name(Context& ctx, const Request& request, NodeId parent_id, const Name& name, Kind kind) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    revive_named(ctx, parent_id, name);
    for (Inside inside = Inside::unknown;;) {
        NodeRef lost;
        const Outcome outcome = TRY(remove_once(ctx, request, parent, name, kind, inside, lost));
        if (outcome == Outcome::done && lost) note_name_lost(ctx, lost);
        if (outcome == Outcome::done) return {};
        if (outcome == Outcome::look_inside) inside = Inside::may_hold_marks;
    }
}

}  // namespace

Status unlink(Context& ctx, const Request& request, NodeId parent, const Name& name) {
    return remove_name(ctx, request, parent, name, Kind::file);
}

Status rmdir(Context& ctx, const Request& request, NodeId parent, const Name& name) {
    return remove_name(ctx, request, parent, name, Kind::directory);
}

}  // namespace plyfs::ops

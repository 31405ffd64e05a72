#include <stdio.h>

#include <algorithm>
#include <optional>

#include "base/insist.h"
#include "node/move.h"
#include "node/origin.h"
#include "node/redirect.h"
#include "node/source.h"
#include "ops/copies.h"
#include "ops/links.h"
#include "ops/place.h"
#include "ops/protection.h"
#include "ops/remove.h"
#include "ops/rename_steps.h"
#include "ops/revive.h"

namespace plyfs::ops {
namespace {

// Two nodes at once: the one place where that is needed. By address, so that two renames can not wait for each other.
class LockedPair {
  public:
    LockedPair(Node* a, Node* b) {
        if (a == b) b = nullptr;
        if (a && b && std::less<Node*>()(b, a)) std::swap(a, b);
        if (a) first_.emplace(*a);
        if (b) second_.emplace(*b);
    }
    LockedNode* of(const Node* node) {
        if (first_ && node && &first_->node() == node) return &*first_;
        if (second_ && node && &second_->node() == node) return &*second_;
        return nullptr;
    }

  private:
    std::optional<LockedNode> first_;
    std::optional<LockedNode> second_;
};

Status look(Context& ctx, RenameSide& side, Open open) {
    side.at.reset();
    side.presence.clear();
    side.visible_layers = 0;
    side.fixed = side.redirects = false;
    auto at = TRY(look_at(ctx, side.parent, side.name, open));
    side.layers = at.layers;
    // A whiteout alone matters as well: a directory can not be renamed over it.
    for (const Hit& hit : at.hits) {
        const auto kind = hit.whiteout          ? Presence::Kind::whiteout
                          : sys::is_dir(hit.st) ? Presence::Kind::directory
                                                : Presence::Kind::file;
        side.presence.push_back({hit.branch, kind, ctx.tree.set().at(hit.branch).writable(), hit.beside});
    }
    if (!is_seen(at)) return {};
    side.at = std::move(at);
    if (sys::is_dir(side.at->winner().st)) {
        const BranchSet& set = ctx.tree.set();
        const auto layers = TRY(find_winner(set, side.at->layers, side.name)).layers;
        side.visible_layers = layers.size();
        side.fixed =
            std::any_of(layers.begin(), layers.end(), [&](BranchIndex branch) { return !set.at(branch).writable(); });
        side.redirects = side.fixed && set.rules().make_redirects;
    }
    return {};
}

// What moves must be on a branch that may be modified, and its parts on others have to be found again.
Status make_movable(Context& ctx, const Request& request, RenameSide& side) {
    if (!side.at) return {};
    const bool is_dir = sys::is_dir(side.at->winner().st);
    if (is_dir && !side.redirects) return {};
    const bool writable = ctx.tree.set().at(side.at->winner().branch).writable();
    if (!side.at->node) return writable && !is_dir ? Status{} : Errno(ESTALE);
    if (!writable && is_dir) TRY(ensure_dir_writable(ctx.tree, side.at->node));
    if (!writable && !is_dir) TRY(ensure_writable(ctx.tree, side.at->node, request.copy_up_metadata()));
    return make_findable(ctx.tree, side.at->node);
}

void rename_link(Context& ctx, LockedNode& node, const Link& from, const Link& to) {
    leave_place(ctx.tree, node, from);
    take_place(ctx.tree, node, to);
    auto place = std::find(node->links.begin(), node->links.end(), from);
    if (place == node->links.end()) {
        node->links.push_back(to);
    } else {
        *place = to;
    }
}

// Of a file's copies those beside the winner that move as well, by the policy: -1 for all.
Result<BranchIndex> find_moves_along(Context& ctx, const RenameSide& from) {
    const auto chosen = TRY(chosen_copy(ctx, config::Function::rename, from.at->hits));
    return chosen.value_or(BranchIndex{-1});
}

Result<RenamePlan> make_plan(Context& ctx, const RenameSide& from, const RenameSide& to, unsigned flags, Where where) {
    RenameFacts facts;
    std::vector<BranchIndex> homes;
    if (where == Where::as_policies_say && ctx.tree.keeps_paths()) {
        homes = LockedNode(*to.parent)->as_dir->layers;
        facts.homes = &homes;
    }
    facts.moves_along = TRY(find_moves_along(ctx, from));
    facts.source = from.presence;
    facts.target = to.presence;
    facts.source_layers = from.visible_layers;
    facts.target_layers = to.visible_layers;
    facts.source_fixed = from.fixed;
    facts.source_redirects = from.redirects;
    facts.target_redirects = to.redirects;
    facts.exchange = (flags & RENAME_EXCHANGE) != 0;
    facts.keep_whiteout = (flags & RENAME_WHITEOUT) != 0;
    return plan_rename(facts);
}

// A whiteout above the branch the object moves on is removed, unless it also hides what lies between on a branch that
// may not be modified.
bool whiteout_must_stay(Context& ctx, const RenameSide& to, BranchIndex branch) {
    for (const Presence& hit : to.presence) {
        if (hit.kind != Presence::Kind::whiteout) continue;
        for (int between = hit.branch + 1; between < branch; ++between) {
            if (!ctx.tree.set().at(between).writable()) return true;
        }
    }
    return false;
}

bool changed_since(const RenameSide& side) {
    return side.at && side.at->node && side.at->node->generation() != side.at->generation;
}

enum class Outcome { done, look_again };

// A name of an indexed file that lies below only is a name like the others first.
Result<Outcome> bring_name(Context& ctx, const RenameSide& side) {
    if (!side.at || !side.at->node || ctx.tree.set().at(side.at->winner().branch).writable()) return Outcome::done;
    if (!LockedNode(*side.at->node)->rare->index) return Outcome::done;
    const auto branch = LockedNode(*side.at->node)->winner;
    TRY(add_missing_link(ctx.tree, side.at->node, side.parent, side.name));
    // Nothing there: not a name of the file any more.
    TRY(sys::stat_at(*TRY(ctx.tree.dir_on(side.parent, branch)), side.name));
    return Outcome::look_again;
}

// Where a copy of something below comes to, the directory has to say so.
Status mark_target(Context& ctx, const RenameSide& moved, const NodeRef& parent) {
    if (!moved.at || !moved.at->node) return {};
    const bool marked = LockedNode(*moved.at->node)->marked;
    return marked ? make_impure(ctx.tree, parent) : Status();
}

// To where the plan can go on from: a branch above one that can not be changed, or that of the other name.
Status carry(Context& ctx, const Request& request, const RenamePlan& plan, const RenameSide& from,
             const RenameSide& to) {
    const RenameSide& moved = from.at->winner().branch != plan.branch || plan.carry_above >= 0 ? from : to;
    if (!moved.at->node) return Errno(ESTALE);
    if (moved.at->node->is_dir()) return ensure_dir_on(ctx.tree, moved.at->node, plan.branch);
    std::vector<BranchIndex> branches{plan.branch};
    if (plan.carry_above >= 0) {
        auto ranking = ctx.tree.rank_branches(moved.parent, {.above = plan.carry_above});
        if (!ranking) return Errno(EXDEV);
        branches = std::move(ranking->branches);
    }
    Status carried(Errno(EXDEV));
    for (BranchIndex branch : branches) {
        carried = move_up(ctx.tree, moved.at->node, branch, request.copy_up());
        if (carried || !may_try_next(carried.error())) break;
    }
    return carried;
}

Result<Outcome> rename_once(Context& ctx, const Request& request, RenameSide& from, RenameSide& to, unsigned flags,
                            Where where) {
    const bool exchange = (flags & RENAME_EXCHANGE) != 0;
    TRY(look(ctx, from, Open::nothing));
    TRY(look(ctx, to, exchange ? Open::nothing : Open::winner));
    if (!from.at) return Errno(ENOENT);
    if (to.at && (flags & RENAME_NOREPLACE)) return Errno(EEXIST);
    TRY(require_removable(ctx, from.parent, from.name, *from.at));
    TRY(may_gain_name(to.parent));
    TRY(require_all_parts(ctx, *from.at));
    if (to.at) TRY(require_removable(ctx, to.parent, to.name, *to.at));
    if (to.at) TRY(require_all_parts(ctx, *to.at));
    if (TRY(bring_name(ctx, from)) == Outcome::look_again) return Outcome::look_again;
    if (exchange && TRY(bring_name(ctx, to)) == Outcome::look_again) return Outcome::look_again;
    if (!exchange) TRY(require_hideable(ctx, from.name, *from.at));
    TRY(make_movable(ctx, request, from));
    if (exchange) TRY(make_movable(ctx, request, to));
    if (to.at && !exchange && TRY(copy_for_count(ctx, request, *to.at))) return Outcome::look_again;
    if (changed_since(from) || changed_since(to)) return Outcome::look_again;
    if (to.at && !exchange && sys::is_dir(to.at->winner().st)) TRY(require_empty(ctx, to.name, *to.at));

    const RenamePlan plan = TRY(make_plan(ctx, from, to, flags, where));
    if (plan.carry) {
        TRY(carry(ctx, request, plan, from, to));
        return Outcome::look_again;
    }
    // Where a directory above hides the source's branch the object would vanish: the caller copies.
    if (!ctx.tree.reaches(to.parent, plan.branch) || whiteout_must_stay(ctx, to, plan.branch)) return Errno(EXDEV);
    auto prepared = prepare_steps(ctx, plan, from, to, exchange);
    // No room for the parent's directory where it lies: a copy may go where there is.
    const bool elsewhere = !exchange && ctx.tree.set().several_writable();
    if (!prepared && may_try_next(prepared.error()) && elsewhere) return Errno(EXDEV);
    const auto steps = TRY(std::move(prepared));
    TRY(mark_target(ctx, from, to.parent));
    if (exchange) TRY(mark_target(ctx, to, from.parent));

    LockedPair locks(from.at->node.get(), to.at ? to.at->node.get() : nullptr);
    LockedNode* source = locks.of(from.at->node.get());
    LockedNode* target = to.at ? locks.of(to.at->node.get()) : nullptr;
    if ((source && (*source)->copying) || (target && (*target)->copying)) return Outcome::look_again;
    // A part that came since the branches were asked would keep its name.
    if ((source && !is_as_seen(*from.at, *source)) || (target && !is_as_seen(*to.at, *target))) {
        return Outcome::look_again;
    }
    if (target && !exchange) pin_if_last(*target, to.parent, to.name, *to.at);
    if (source) ++(*source)->renames;
    if (target) ++(*target)->renames;
    auto moved = take_steps(ctx, plan, from, to, steps);
    if (!moved) {
        if (target && !exchange) unpin(*target);
        return moved.error();
    }
    if (source) rename_link(ctx, *source, from.link(), to.link());
    if (target && exchange) rename_link(ctx, *target, to.link(), from.link());
    if (target && !exchange) forget_name(ctx, *target, to.parent, to.name, *to.at);
    TRY(insist([&] { return remove_leftovers(ctx, plan, from, to); }));
    return Outcome::done;
}

// For who finds them by their names later.
void note_renamed(Context& ctx, const RenameSide& from, const RenameSide& to, unsigned flags) {
    const auto note = [&](const RenameSide& side, const RenameSide& now) {
        if (side.at && side.at->node) note_told(ctx, side.at->node, above_of(ctx, now.parent, now.name));
    };
    note(from, to);
    if (flags & RENAME_EXCHANGE) {
        note(to, from);
    } else if (to.at && to.at->node) {
        note_name_lost(ctx, to.at->node);
    }
}

}  // namespace

Status move_name(Context& ctx, const Request& request, const Place& old_place, const Place& new_place, unsigned flags,
                 Where where) {
    RenameSide from{old_place.parent, old_place.name, {}, {}, {}, 0, false, false};
    RenameSide to{new_place.parent, new_place.name, {}, {}, {}, 0, false, false};
    for (;;) {
        if (TRY(rename_once(ctx, request, from, to, flags, where)) == Outcome::done) {
            note_renamed(ctx, from, to, flags);
            return {};
        }
        // A copy-up of one of the two is going on: it ends, or the caller does.
        for (const RenameSide* side : {&from, &to}) {
            if (!side->at || !side->at->node) continue;
            LockedNode node(*side->at->node);
            TRY(wait_until_copied(ctx.tree, node, request.copy_up()));
        }
        if (request.cancelled && request.cancelled()) return Errno(EINTR);
    }
}

Status rename(Context& ctx, const Request& request, NodeId parent, const Name& name, NodeId new_parent,
              const Name& new_name, unsigned flags) {
    const Place from{TRY(node_of(ctx, parent)), name};
    const Place to{TRY(node_of(ctx, new_parent)), new_name};
    TRY(require_free_for_users(ctx, *to.parent, new_name));
    revive_named(ctx, parent, name);
    revive_named(ctx, new_parent, new_name);
    auto moved = move_name(ctx, request, from, to, flags, Where::as_policies_say);
    if (!moved.failed_with(EXDEV) || (flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0) return moved;
    return move_behind_link(ctx, request, from, to);
}

}  // namespace plyfs::ops

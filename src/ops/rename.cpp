#include <stdio.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "node/origin.h"
#include "node/redirect.h"
#include "ops/gone.h"
#include "ops/place.h"
#include "ops/protection.h"
#include "ops/remove.h"
#include "overlay/marks.h"
#include "overlay/rename_plan.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

struct Side {
    NodeRef parent;
    Name name;
    std::optional<AtName> at;  // none: nothing is seen there
    Layers layers;             // of the parent
    std::vector<Presence> presence;
    std::size_t visible_layers = 0;
    bool fixed = false;      // a directory with parts on branches that may not be modified
    bool redirects = false;  // to which a redirect may lead
    Link link() const { return {parent, name.str()}; }
};

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

Status look(Context& ctx, Side& side, Open open) {
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
Status make_movable(Context& ctx, const Request& request, Side& side) {
    if (!side.at) return {};
    const bool is_dir = sys::is_dir(side.at->winner().st);
    if (is_dir && !side.redirects) return {};
    const bool writable = ctx.tree.set().at(side.at->winner().branch).writable();
    if (!side.at->node) return writable && !is_dir ? Status{} : Errno(ESTALE);
    if (!writable && is_dir) TRY(ensure_dir_writable(ctx.tree, side.at->node));
    if (!writable && !is_dir) TRY(ensure_writable(ctx.tree, side.at->node, request.copy_up_metadata()));
    return make_findable(ctx.tree, side.at->node);
}

Status mark_opaque(Context& ctx, BorrowedFd dir, const Name& name) {
    return marks::make_opaque(TRY(sys::open_dir_path(dir, name)), ctx.tree.set().marks());
}

// The target directory, empty for the union but full of marks, gives way to one that is really empty.
Status clear_directory(Context& ctx, BranchIndex branch, BorrowedFd parent, const Name& name) {
    WorkDir* work = TRY(ctx.tree.workdir_of(branch));
    auto dir = TRY(sys::open_dir_path(parent, name));
    // A file that makes it opaque would lie in it: one beside it hides the same, until the rename is done.
    const bool beside = work->marks().whiteout == MarkRules::Whiteout::file;
    if (beside) TRY(marks::make_aufs_whiteout(parent, name));
    const Branch& on = ctx.tree.set().at(branch);
    const Carry carry{on.ownership(), on.ownership(), ctx.tree.set().ids()};
    auto empty = TRY(stage_directory(*work, dir, TRY(on.stat_fd(dir)), !beside, &carry));
    return empty.publish_over(parent, name);
}

Status rename_into(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to, BorrowedFd from_dir,
                   BorrowedFd to_dir, unsigned flags) {
    auto moved = sys::rename_entry(from_dir, from.name, to_dir, to.name, flags);
    if (moved.failed_with(ENOTEMPTY) && plan.clear_target) {
        TRY(clear_directory(ctx, plan.branch, to_dir, to.name));
        moved = sys::rename_entry(from_dir, from.name, to_dir, to.name, flags);
    }
    return moved;
}

// Where no single rename leaves a whiteout: a file has both names for a moment, a directory can not (EXDEV: the caller
// copies).
Status link_then_hide(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to, BorrowedFd from_dir,
                      BorrowedFd to_dir) {
    if (sys::is_dir(from.at->winner().st)) return Errno(EXDEV);
    WorkDir* work = TRY(ctx.tree.workdir_of(plan.branch));
    const auto temp = work->next();
    if (!sys::link_fd(TRY(sys::open_path(from_dir, from.name)), work->fd(), temp.name())) return Errno(EXDEV);
    auto moved = sys::rename_entry(work->fd(), temp.name(), to_dir, to.name);
    if (!moved) {
        work->discard(temp);
        return moved;
    }
    return work->take_away(from_dir, from.name, true);
}

Status move_leaving_whiteout(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to,
                             BorrowedFd from_dir, BorrowedFd to_dir) {
    const auto form = ctx.tree.set().marks().whiteout;
    if (form == MarkRules::Whiteout::xattr) return link_then_hide(ctx, plan, from, to, from_dir, to_dir);
    if (form == MarkRules::Whiteout::file) {
        TRY(marks::make_aufs_whiteout(from_dir, from.name));
        auto moved = rename_into(ctx, plan, from, to, from_dir, to_dir, 0);
        if (!moved && !marks::remove_aufs_whiteout(from_dir, from.name)) {
            log::warn("a whiteout of {} stays", from.name.view());
        }
        return moved;
    }
    auto moved = rename_into(ctx, plan, from, to, from_dir, to_dir, RENAME_WHITEOUT);
    // A file system without RENAME_WHITEOUT.
    return moved.failed_with(EINVAL) ? link_then_hide(ctx, plan, from, to, from_dir, to_dir) : moved;
}

// A directory can not be renamed over a whiteout: the two are exchanged.
Status swap_with_whiteout(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to, BorrowedFd from_dir,
                          BorrowedFd to_dir) {
    TRY(sys::rename_entry(from_dir, from.name, to_dir, to.name, RENAME_EXCHANGE));
    if (!plan.leave_whiteout) return sys::unlink_file(from_dir, from.name);
    const bool device = marks::is_whiteout(TRY(sys::stat_at(from_dir, from.name)));
    if (device && ctx.tree.set().marks().whiteout == MarkRules::Whiteout::device) return {};
    return TRY(ctx.tree.workdir_of(plan.branch))->renew_whiteout(from_dir, from.name);
}

Status move_on(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to, BorrowedFd from_dir,
               BorrowedFd to_dir, bool exchange) {
    if (plan.make_opaque) TRY(mark_opaque(ctx, from_dir, from.name));
    if (plan.make_target_opaque) TRY(mark_opaque(ctx, to_dir, to.name));
    if (exchange) return sys::rename_entry(from_dir, from.name, to_dir, to.name, RENAME_EXCHANGE);
    if (plan.swap_whiteout) {
        TRY(swap_with_whiteout(ctx, plan, from, to, from_dir, to_dir));
    } else if (plan.leave_whiteout) {
        TRY(move_leaving_whiteout(ctx, plan, from, to, from_dir, to_dir));
    } else {
        TRY(rename_into(ctx, plan, from, to, from_dir, to_dir, 0));
    }
    // What was moved is seen in spite of a file that hid its new name, and hides the same.
    const bool hidden = ctx.tree.set().marks().whiteout == MarkRules::Whiteout::file ||
                        std::any_of(to.presence.begin(), to.presence.end(), [](const auto& hit) { return hit.beside; });
    if (hidden && !marks::remove_aufs_whiteout(to_dir, to.name)) log::warn("a whiteout of {} stays", to.name.view());
    return {};
}

// The other parts of a directory that lies on several branches. The first rename decided; should one of these fail, all
// go back, so that the directory stays whole.
Status move_other_parts(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to) {
    std::vector<BranchIndex> moved{plan.branch};
    for (BranchIndex branch : plan.also_rename) {
        auto from_dir = ctx.tree.dir_on(from.parent, branch);
        auto to_dir = ctx.tree.dir_on(to.parent, branch);
        Status done = !from_dir ? Status(from_dir.error())
                      : !to_dir ? Status(to_dir.error())
                                : sys::rename_entry(**from_dir, from.name, **to_dir, to.name);
        if (done) {
            moved.push_back(branch);
            continue;
        }
        for (BranchIndex back : moved) {
            auto source = ctx.tree.dir_on(to.parent, back);
            auto target = ctx.tree.dir_on(from.parent, back);
            if (!source || !target || !sys::rename_entry(**source, to.name, **target, from.name)) {
                log::warn("a part of directory {} stays at its new name {} on {}", from.name.view(), to.name.view(),
                          ctx.tree.set().at(back).path());
            }
        }
        return done;
    }
    return {};
}

// What is left over elsewhere is removed last; it is hidden already, or the old target that may be seen until then.
Status remove_leftovers(Context& ctx, const RenamePlan& plan, const Side& from, const Side& to) {
    for (BranchIndex branch : plan.remove_source) TRY(remove_on(ctx, layer_of(from.layers, branch), from.name));
    for (BranchIndex branch : plan.remove_target) TRY(remove_on(ctx, layer_of(to.layers, branch), to.name));
    return {};
}

void rename_link(LockedNode& node, const Link& from, const Link& to) {
    auto place = std::find(node->links.begin(), node->links.end(), from);
    if (place == node->links.end()) {
        node->links.push_back(to);
    } else {
        *place = to;
    }
}

Result<RenamePlan> make_plan(const Side& from, const Side& to, unsigned flags) {
    RenameFacts facts;
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
bool whiteout_must_stay(Context& ctx, const Side& to, BranchIndex branch) {
    for (const Presence& hit : to.presence) {
        if (hit.kind != Presence::Kind::whiteout) continue;
        for (int between = hit.branch + 1; between < branch; ++between) {
            if (!ctx.tree.set().at(between).writable()) return true;
        }
    }
    return false;
}

bool changed_since(const Side& side) {
    return side.at && side.at->node && side.at->node->generation() != side.at->generation;
}

enum class Outcome { done, look_again };

// A name of an indexed file that lies below only is a name like the others first.
Result<Outcome> bring_name(Context& ctx, const Side& side) {
    if (!side.at || !side.at->node || ctx.tree.set().at(side.at->winner().branch).writable()) return Outcome::done;
    if (!LockedNode(*side.at->node)->index) return Outcome::done;
    const auto branch = LockedNode(*side.at->node)->winner;
    TRY(add_missing_link(ctx.tree, side.at->node, side.parent, side.name));
    // Nothing there: not a name of the file any more.
    TRY(sys::stat_at(*TRY(ctx.tree.dir_on(side.parent, branch)), side.name));
    return Outcome::look_again;
}

// Where a copy of something below comes to, the directory has to say so.
Status mark_target(Context& ctx, const Side& moved, const NodeRef& parent) {
    if (!moved.at || !moved.at->node) return {};
    const bool marked = LockedNode(*moved.at->node)->marked;
    return marked ? make_impure(ctx.tree, parent) : Status();
}

Result<Outcome> rename_once(Context& ctx, const Request& request, Side& from, Side& to, unsigned flags) {
    const bool exchange = (flags & RENAME_EXCHANGE) != 0;
    TRY(look(ctx, from, Open::nothing));
    TRY(look(ctx, to, exchange ? Open::nothing : Open::winner));
    if (!from.at) return Errno(ENOENT);
    if (to.at && (flags & RENAME_NOREPLACE)) return Errno(EEXIST);
    TRY(require_removable(ctx, from.parent, from.name, *from.at));
    TRY(may_gain_name(to.parent));
    if (to.at) TRY(require_removable(ctx, to.parent, to.name, *to.at));
    if (TRY(bring_name(ctx, from)) == Outcome::look_again) return Outcome::look_again;
    if (exchange && TRY(bring_name(ctx, to)) == Outcome::look_again) return Outcome::look_again;
    if (!exchange) TRY(require_hideable(ctx, from.name, *from.at));
    TRY(make_movable(ctx, request, from));
    if (exchange) TRY(make_movable(ctx, request, to));
    if (to.at && !exchange && TRY(copy_for_count(ctx, request, *to.at))) return Outcome::look_again;
    if (changed_since(from) || changed_since(to)) return Outcome::look_again;
    if (to.at && !exchange && sys::is_dir(to.at->winner().st)) TRY(require_empty(ctx, to.name, *to.at));

    const RenamePlan plan = TRY(make_plan(from, to, flags));
    // Where a directory above hides the source's branch the object would vanish: the caller copies.
    if (!ctx.tree.reaches(to.parent, plan.branch) || whiteout_must_stay(ctx, to, plan.branch)) return Errno(EXDEV);
    TRY(ensure_dir_on(ctx.tree, to.parent, plan.branch));
    for (BranchIndex branch : plan.also_rename) TRY(ensure_dir_on(ctx.tree, to.parent, branch));
    TRY(mark_target(ctx, from, to.parent));
    if (exchange) TRY(mark_target(ctx, to, from.parent));
    const auto from_dir = TRY(ctx.tree.dir_on(from.parent, plan.branch));
    const auto to_dir = TRY(ctx.tree.dir_on(to.parent, plan.branch));

    LockedPair locks(from.at->node.get(), to.at ? to.at->node.get() : nullptr);
    LockedNode* source = locks.of(from.at->node.get());
    LockedNode* target = to.at ? locks.of(to.at->node.get()) : nullptr;
    if ((source && (*source)->copying) || (target && (*target)->copying)) return Outcome::look_again;
    if (changed_since(from) || changed_since(to)) return Outcome::look_again;
    if (target && !exchange) pin_if_last(*target, to.parent, to.name, *to.at);
    auto moved = move_on(ctx, plan, from, to, *from_dir, *to_dir, exchange);
    if (moved) moved = move_other_parts(ctx, plan, from, to);
    if (!moved) {
        if (target && !exchange) unpin(*target);
        return moved.error();
    }
    if (source) rename_link(*source, from.link(), to.link());
    if (target && exchange) rename_link(*target, to.link(), from.link());
    if (target && !exchange) forget_name(ctx, *target, to.parent, to.name, *to.at);
    TRY(remove_leftovers(ctx, plan, from, to));
    return Outcome::done;
}

}  // namespace

Status rename(Context& ctx, const Request& request, NodeId parent, const Name& name, NodeId new_parent,
              const Name& new_name, unsigned flags) {
    Side from{TRY(node_of(ctx, parent)), name, {}, {}, {}, 0, false, false};
    Side to{TRY(node_of(ctx, new_parent)), new_name, {}, {}, {}, 0, false, false};
    TRY(require_free_for_users(ctx, *to.parent, new_name));
    for (;;) {
        if (TRY(rename_once(ctx, request, from, to, flags)) == Outcome::done) return {};
        // A copy-up of one of the two is going on: it ends, or the caller does.
        for (const Side* side : {&from, &to}) {
            if (!side->at || !side->at->node) continue;
            LockedNode node(*side->at->node);
            TRY(wait_until_copied(ctx.tree, node, request.copy_up()));
        }
        if (request.cancelled && request.cancelled()) return Errno(EINTR);
    }
}

}  // namespace plyfs::ops

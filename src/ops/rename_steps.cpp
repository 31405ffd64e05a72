#include "ops/rename_steps.h"

#include <stdio.h>

#include <algorithm>

#include "base/insist.h"
#include "base/log.h"
#include "overlay/marks.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

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

Status rename_into(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                   BorrowedFd from_dir, BorrowedFd to_dir, unsigned flags) {
    auto moved = sys::rename_entry(from_dir, from.name, to_dir, to.name, flags);
    if (moved.failed_with(ENOTEMPTY) && plan.clear_target) {
        TRY(clear_directory(ctx, plan.branch, to_dir, to.name));
        moved = sys::rename_entry(from_dir, from.name, to_dir, to.name, flags);
    }
    return moved;
}

// Where no single rename leaves a whiteout: a file has both names for a moment, a directory can not (EXDEV: the caller
// copies).
Status link_then_hide(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                      BorrowedFd from_dir, BorrowedFd to_dir) {
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

Status move_leaving_whiteout(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
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
Status swap_with_whiteout(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                          BorrowedFd from_dir, BorrowedFd to_dir) {
    TRY(sys::rename_entry(from_dir, from.name, to_dir, to.name, RENAME_EXCHANGE));
    if (!plan.leave_whiteout) return sys::unlink_file(from_dir, from.name);
    const bool device = marks::is_whiteout(TRY(sys::stat_at(from_dir, from.name)));
    if (device && ctx.tree.set().marks().whiteout == MarkRules::Whiteout::device) return {};
    return TRY(ctx.tree.workdir_of(plan.branch))->renew_whiteout(from_dir, from.name);
}

// What lies at the new name elsewhere is removed while the file has both names. EOPNOTSUPP: it can not have two.
Status move_by_link(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                    BorrowedFd from_dir, BorrowedFd to_dir) {
    WorkDir* work = TRY(ctx.tree.workdir_of(plan.branch));
    const auto temp = work->next();
    if (!sys::link_fd(TRY(sys::open_path(from_dir, from.name)), work->fd(), temp.name())) return Errno(EOPNOTSUPP);
    if (auto linked = sys::rename_entry(work->fd(), temp.name(), to_dir, to.name); !linked) {
        work->discard(temp);
        return linked;
    }
    Status done;
    for (BranchIndex branch : plan.remove_target) {
        if (done) done = remove_on(ctx, layer_of(to.layers, branch), to.name);
    }
    if (!done) {
        if (!sys::unlink_file(to_dir, to.name)) log::warn("{} has two names now", from.name.view());
        return done;
    }
    // What had the new name is gone: without this one the name would lead nowhere.
    done = insist([&] {
        return plan.leave_whiteout ? work->take_away(from_dir, from.name, true) : sys::unlink_file(from_dir, from.name);
    });
    if (!done) log::warn("{} has two names now", from.name.view());
    return done;
}

Status move_on(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
               const RenameStep& step) {
    const BorrowedFd from_dir = *step.from;
    const BorrowedFd to_dir = *step.to;
    if (plan.make_opaque) TRY(mark_opaque(ctx, from_dir, from.name));
    if (plan.make_target_opaque) TRY(mark_opaque(ctx, to_dir, to.name));
    if (step.kind == RenameStep::Kind::both) {
        return sys::rename_entry(from_dir, from.name, to_dir, to.name, RENAME_EXCHANGE);
    }
    if (plan.link_first) {
        auto moved = move_by_link(ctx, plan, from, to, from_dir, to_dir);
        if (!moved.failed_with(EOPNOTSUPP)) return moved;
    }
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

Status take_step(const RenameStep& step, const RenameSide& from, const RenameSide& to) {
    using Kind = RenameStep::Kind;
    if (step.kind == Kind::back) return sys::rename_entry(*step.to, to.name, *step.from, from.name);
    return sys::rename_entry(*step.from, from.name, *step.to, to.name, step.kind == Kind::both ? RENAME_EXCHANGE : 0);
}

}  // namespace

RenameStep RenameStep::undone() const {
    return {branch, kind == Kind::both ? Kind::both : kind == Kind::there ? Kind::back : Kind::there, from, to};
}

Result<std::vector<RenameStep>> prepare_steps(Context& ctx, const RenamePlan& plan, const RenameSide& from,
                                              const RenameSide& to, bool exchange) {
    using Kind = RenameStep::Kind;
    std::vector<RenameStep> steps{{plan.branch, exchange ? Kind::both : Kind::there, nullptr, nullptr}};
    for (BranchIndex branch : plan.also_rename) steps.push_back({branch, Kind::there, nullptr, nullptr});
    for (BranchIndex branch : plan.also_exchange) steps.push_back({branch, Kind::both, nullptr, nullptr});
    for (BranchIndex branch : plan.rename_back) steps.push_back({branch, Kind::back, nullptr, nullptr});
    for (RenameStep& step : steps) {
        TRY(ensure_dir_on(ctx.tree, step.kind == Kind::back ? from.parent : to.parent, step.branch));
        step.from = TRY(ctx.tree.dir_on(from.parent, step.branch));
        step.to = TRY(ctx.tree.dir_on(to.parent, step.branch));
    }
    return steps;
}

// After the first, which decided: the other parts of a directory that lies on several branches, or the copies of a
// file. Should one of these fail, all go back, so that the object stays whole: unless that would not bring back what
// the first one replaced.
Status take_steps(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                  const std::vector<RenameStep>& steps) {
    TRY(move_on(ctx, plan, from, to, steps[0]));
    const bool exchange = steps[0].kind == RenameStep::Kind::both;
    const bool replaced = !exchange && to.at && !sys::is_dir(to.at->winner().st);
    for (std::size_t i = 1; i < steps.size(); ++i) {
        auto taken = take_step(steps[i], from, to);
        if (taken) continue;
        if (replaced) {
            log::warn("a copy of {} stays at its old name on {}: {}", from.name.view(),
                      ctx.tree.set().at(steps[i].branch).path(), log::errno_text(taken.error().value()));
            continue;
        }
        while (i-- > 0) {
            if (take_step(steps[i].undone(), from, to)) continue;
            log::warn("{} stays at its new name {} on {}", from.name.view(), to.name.view(),
                      ctx.tree.set().at(steps[i].branch).path());
        }
        return taken;
    }
    return {};
}

Status remove_leftovers(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to) {
    for (BranchIndex branch : plan.remove_source) TRY(remove_on(ctx, layer_of(from.layers, branch), from.name));
    for (BranchIndex branch : plan.remove_target) TRY(remove_on(ctx, layer_of(to.layers, branch), to.name));
    return {};
}

}  // namespace plyfs::ops

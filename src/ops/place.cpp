#include "ops/place.h"

#include <algorithm>

#include "base/log.h"
#include "overlay/marks.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

bool may_try_next(Errno e) {
    return e == ENOSPC || e == EDQUOT || e == EROFS;
}

// The branch whose whiteout hides the name in this directory; -1 for none. What is made on a branch below it would not
// be seen.
Result<BranchIndex> hiding_branch(Context& ctx, const NodeRef& parent, const Name& name) {
    const BranchSet& set = ctx.tree.set();
    if (!set.uses_marks() || set.size() == 1) return BranchIndex{-1};
    for (const Layer& layer : TRY(ctx.tree.layers_of(parent))) {
        if (!set.at(layer.branch).writable()) continue;
        auto entry = look_in(set, layer, name, Beside::yes);
        if (entry && entry->kind == LayerEntry::Kind::whiteout) return layer.branch;
    }
    return BranchIndex{-1};
}

// setgid for a file of somebody outside the group is dropped by the branch's file system, which needs the caller's
// groups for it; nothing else does, permissions were checked already.
std::vector<gid_t> groups_for(const Request& request) {
    auto groups = sys::read_groups(request.caller.pid);
    return groups ? std::move(*groups) : std::vector<gid_t>{};
}

Status make_as_caller(const Request& request, BorrowedFd dir, const Name& name, const Maker& make) {
    const bool wants_groups = request.caller.uid != 0 && (TRY(sys::stat_fd(dir)).stx_mode & S_ISGID);
    const auto groups = wants_groups ? groups_for(request) : std::vector<gid_t>{};
    sys::ActAs caller(request.caller, groups);
    TRY(caller.status());
    return make(dir, name);
}

// Made inside a copy of the parent in the work directory, so that setgid, default ACL and the like are inherited as
// they would be in place, then renamed over the whiteout.
Status make_over_whiteout(Context& ctx, const Request& request, BorrowedFd dir, BranchIndex branch, const Name& name,
                          const Maker& make) {
    WorkDir* work = TRY(ctx.tree.workdir_of(branch));
    auto nest = TRY(stage_directory(*work, dir, TRY(sys::stat_fd(dir)), false));
    TRY(make_as_caller(request, nest.fd(), name, make));
    const auto st = TRY(sys::stat_at(nest.fd(), name));
    if (!sys::is_dir(st)) return sys::rename_entry(nest.fd(), name, dir, name);
    TRY(marks::make_opaque(TRY(sys::open_dir_path(nest.fd(), name)), ctx.tree.set().marks()));
    // A directory can not replace a whiteout: exchanged, and the whiteout goes with the nest.
    return sys::rename_entry(nest.fd(), name, dir, name, RENAME_EXCHANGE);
}

// Made beside a file that hides the name below. An object is seen in spite of it, and nothing below that: so first the
// directory becomes opaque by itself, then the file goes.
Status settle_beside(Context& ctx, const Layer& dir, const Name& name) {
    const BranchSet& set = ctx.tree.set();
    if (!TRY(look_in(set, dir, name, Beside::yes)).beside) return {};
    if (sys::is_dir(TRY(sys::stat_at(dir.fd(), name)))) {
        auto opaque = marks::make_opaque(TRY(sys::open_dir_path(dir.fd(), name)), set.marks());
        if (!opaque) {
            TRY(sys::remove_dir(dir.fd(), name));
            return opaque;
        }
    }
    // Should it stay, it hides the same as before.
    if (!marks::remove_aufs_whiteout(dir.fd(), name)) log::warn("a whiteout of {} stays", name.view());
    return {};
}

}  // namespace

Status require_free_for_users(Context& ctx, const Node& parent, const Name& name) {
    if (ctx.tree.reserves(parent, name)) return Errno(EPERM);
    if (ctx.tree.set().reads_aufs_marks() && marks::is_aufs_name(name.view())) return Errno(EINVAL);
    return {};
}

Result<SharedDir> place_on(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                           BranchIndex branch, const Maker& make) {
    TRY(ensure_dir_on(ctx.tree, parent, branch));
    auto dir = TRY(ctx.tree.dir_on(parent, branch));
    auto made = make_as_caller(request, *dir, name, make);
    const BranchSet& set = ctx.tree.set();
    const Layer layer{branch, dir};
    if (made.failed_with(EEXIST) && set.uses_marks()) {
        const auto entry = look_in(set, layer, name, Beside::no);
        const bool whiteout = entry && entry->kind == LayerEntry::Kind::whiteout;
        if (whiteout) made = make_over_whiteout(ctx, request, *dir, branch, name, make);
    }
    if (!made) return made.error();
    if (may_hold_aufs_names(set, layer)) TRY(settle_beside(ctx, layer, name));
    return dir;
}

Result<bool> would_be_hidden(Context& ctx, const NodeRef& parent, const Name& name, BranchIndex branch) {
    if (!ctx.tree.reaches(parent, branch)) return true;
    const BranchIndex hiding = TRY(hiding_branch(ctx, parent, name));
    return hiding >= 0 && hiding < branch;
}

Result<Placed> place(Context& ctx, const Request& request, const NodeRef& parent, const Name& name, const Maker& make) {
    TRY(require_free_for_users(ctx, *parent, name));
    auto branches = TRY(ctx.tree.rank_branches(parent, {}));
    if (branches.size() > 1) {
        const BranchIndex hiding = TRY(hiding_branch(ctx, parent, name));
        if (hiding >= 0) std::erase_if(branches, [&](BranchIndex branch) { return branch > hiding; });
        if (branches.empty()) branches.push_back(hiding);
    }
    Errno last(EROFS);
    for (BranchIndex branch : branches) {
        auto dir = place_on(ctx, request, parent, name, branch, make);
        if (dir) return Placed{branch, std::move(*dir)};
        last = dir.error();
        if (!may_try_next(last)) break;
    }
    return last;
}

}  // namespace plyfs::ops

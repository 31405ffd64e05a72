#include "ops/place.h"

#include <algorithm>

#include "base/insist.h"
#include "base/log.h"
#include "ops/protection.h"
#include "overlay/marks.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// The branch whose whiteout hides the name in this directory; -1 for none. What is made on a branch below it would not
// be seen.
Result<BranchIndex> hiding_branch(Context& ctx, const NodeRef& parent, const Name& name) {
    const BranchSet& set = ctx.tree.set();
    if (!set.uses_marks() || set.size() == 1) return BranchIndex{-1};
    for (const Layer& layer : TRY(ctx.tree.layers_of(parent))) {
        if (!set.at(layer.branch).writable()) continue;
        const auto entry = TRY(look_in(set, layer, name, Beside::yes));
        if (entry.kind == LayerEntry::Kind::whiteout) return layer.branch;
    }
    return BranchIndex{-1};
}

// setgid for a file of somebody outside the group is dropped by the branch's file system, which needs the caller's
// groups for it; nothing else does, permissions were checked already.
std::vector<gid_t> groups_for(const Context& ctx, const Request& request, BorrowedFd dir) {
    if (request.caller.uid == 0) return {};
    const auto st = sys::stat_fd(dir);
    return st && (st->stx_mode & S_ISGID) ? groups_of(ctx.tree.set().ids(), request.caller) : std::vector<gid_t>{};
}

Status make_and_settle(const Branch& branch, const Request& request, BorrowedFd dir, const Name& name,
                       const NewObject& what, const Maker& make) {
    {
        sys::ActAs daemon(maker_of(branch, request.caller));
        TRY(daemon.status());
        TRY(make(dir, name));
    }
    auto object = sys::open_path(dir, name);
    auto settled = object ? settle_new(branch, request.caller, dir, *object, what) : Status(object.error());
    if (settled) return settled;
    auto removed = S_ISDIR(what.type) ? sys::remove_dir(dir, name) : sys::unlink_file(dir, name);
    if (!removed) log::warn("{}, which could not be given its owner, stays", name.view());
    return settled;
}

Status make_as_caller(Context& ctx, const Request& request, BranchIndex branch, BorrowedFd dir, const Name& name,
                      const NewObject& what, const Maker& make) {
    const Branch& on = ctx.tree.set().at(branch);
    if (on.ownership().overrides() && what.type != 0) return make_and_settle(on, request, dir, name, what, make);
    const auto groups = groups_for(ctx, request, dir);
    sys::ActAs caller(request.caller, groups);
    TRY(caller.status());
    return make(dir, name);
}

// Made inside a copy of the parent in the work directory, so that setgid, default ACL and the like are inherited as
// they would be in place, then renamed over the whiteout.
Status make_over_whiteout(Context& ctx, const Request& request, BorrowedFd dir, BranchIndex branch, const Name& name,
                          const NewObject& what, const Maker& make) {
    WorkDir* work = TRY(ctx.tree.workdir_of(branch));
    const Branch& on = ctx.tree.set().at(branch);
    const Carry carry{on.ownership(), on.ownership(), ctx.tree.set().ids()};
    auto nest = TRY(stage_directory(*work, dir, TRY(on.stat_fd(dir)), false, &carry));
    TRY(make_as_caller(ctx, request, branch, nest.fd(), name, what, make));
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
    if (!TRY(insist([&] { return look_in(set, dir, name, Beside::yes); })).beside) return {};
    if (sys::is_dir(TRY(insist([&] { return sys::stat_at(dir.fd(), name); })))) {
        auto opaque = insist(
            [&]() -> Status { return marks::make_opaque(TRY(sys::open_dir_path(dir.fd(), name)), set.marks()); });
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

bool may_try_next(Errno e) {
    return e == ENOSPC || e == EDQUOT || e == EROFS;
}

sys::Caller maker_of(const Branch& branch, const sys::Caller& caller) {
    if (!branch.ownership().overrides()) return caller;
    return {.uid = 0, .gid = 0, .pid = caller.pid, .umask = caller.umask};
}

Status settle_new(const Branch& branch, const sys::Caller& caller, BorrowedFd dir, BorrowedFd object,
                  const NewObject& what) {
    if (!branch.ownership().overrides()) return {};
    const auto parent = TRY(branch.stat_fd(dir));
    auto st = TRY(sys::stat_fd(object));
    // The permissions are those that umask or default ACL left; setgid is the parent's to hand on.
    unsigned mode = st.stx_mode & 07777U;
    st.stx_uid = caller.uid;
    st.stx_gid = parent.stx_mode & S_ISGID ? parent.stx_gid : caller.gid;
    if (S_ISDIR(what.type) && (parent.stx_mode & S_ISGID)) mode |= S_ISGID;
    st.stx_mode = static_cast<std::uint16_t>(what.type | mode);
    st.stx_rdev_major = what.major;
    st.stx_rdev_minor = what.minor;
    return branch.ownership().store(object, st);
}

Status require_free_for_users(Context& ctx, const Node& parent, const Name& name) {
    if (ctx.tree.reserves(parent, name)) return Errno(EPERM);
    if (ctx.tree.set().reads_aufs_marks() && marks::is_aufs_name(name.view())) return Errno(EINVAL);
    return {};
}

Result<SharedDir> place_on(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                           BranchIndex branch, const NewObject& what, const Maker& make) {
    TRY(ensure_dir_on(ctx.tree, parent, branch));
    auto dir = TRY(ctx.tree.dir_on(parent, branch));
    auto made = make_as_caller(ctx, request, branch, *dir, name, what, make);
    const BranchSet& set = ctx.tree.set();
    const Layer layer{branch, dir};
    if (made.failed_with(EEXIST) && set.uses_marks()) {
        const auto entry = TRY(look_in(set, layer, name, Beside::no));
        if (entry.kind == LayerEntry::Kind::whiteout)
            made = make_over_whiteout(ctx, request, *dir, branch, name, what, make);
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

namespace {

config::Function function_of(const NewObject& what) {
    if (S_ISREG(what.type) && !what.by_mknod) return config::Function::create;
    if (S_ISDIR(what.type)) return config::Function::mkdir;
    return S_ISLNK(what.type) ? config::Function::symlink : config::Function::mknod;
}

Result<Placed> place_on_first(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                              std::span<const BranchIndex> branches, const NewObject& what, const Maker& make) {
    Errno last(EROFS);
    for (BranchIndex branch : branches) {
        auto dir = place_on(ctx, request, parent, name, branch, what, make);
        if (dir) return Placed{branch, std::move(*dir), {}};
        last = dir.error();
        if (!may_try_next(last)) break;
    }
    return last;
}

}  // namespace

Result<Placed> place(Context& ctx, const Request& request, const NodeRef& parent, const Name& name,
                     const NewObject& what, const Maker& make) {
    TRY(require_free_for_users(ctx, *parent, name));
    TRY(may_gain_name(parent));
    const config::Function function = function_of(what);
    auto [branches, everywhere] =
        TRY(ctx.tree.rank_branches(parent, {.function = function, .name = name.view(), .maker = &request.caller}));
    if (branches.size() > 1) {
        const BranchIndex hiding = TRY(hiding_branch(ctx, parent, name));
        if (hiding >= 0) std::erase_if(branches, [&](BranchIndex branch) { return branch > hiding; });
        if (branches.empty()) branches.push_back(hiding);
    }
    Placed placed = TRY(place_on_first(ctx, request, parent, name, branches, what, make));
    if (!everywhere || function == config::Function::create) return placed;
    for (BranchIndex branch : branches) {
        if (branch == placed.branch) continue;
        auto made = place_on(ctx, request, parent, name, branch, what, make);
        if (made) placed.also.push_back(branch);
        if (!made)
            log::debug("{} is not made on {}: {}", name.view(), ctx.tree.set().at(branch).path(),
                       log::errno_text(made.error().value()));
    }
    return placed;
}

}  // namespace plyfs::ops

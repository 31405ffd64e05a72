#include "ops/links.h"

#include <stdio.h>

#include <algorithm>
#include <optional>

#include "base/defer.h"
#include "base/insist.h"
#include "base/log.h"
#include "node/changing.h"
#include "node/origin.h"
#include "node/redirect.h"
#include "ops/attributes.h"
#include "ops/copies.h"
#include "ops/create.h"
#include "ops/gone.h"
#include "ops/place.h"
#include "ops/protection.h"
#include "sys/entry.h"

namespace plyfs::ops {
namespace {

using config::LinkInstead;

// By which operations know a node; the lock is let go of before they take it.
NodeId id_of(const NodeRef& node) {
    return LockedNode(*node)->face.id;
}

// Both from the mount's root: how the second is reached from the first, a directory.
std::string relative_path(std::string_view dir, std::string_view to) {
    std::size_t common = 0;  // up to here, without a slash at the end
    for (std::size_t i = 1; i <= dir.size() && i < to.size(); ++i) {
        const bool ends = i == dir.size() || dir[i] == '/';
        if (ends && to[i] == '/' && dir.substr(0, i) == to.substr(0, i)) common = i;
    }
    std::string up;
    for (char c : dir.substr(common)) {
        if (c == '/') up += "../";
    }
    return up + std::string(to.substr(common + 1));
}

// What a symbolic link in `dir` says to lead to a path of the union.
Result<std::string> link_text(Context& ctx, LinkInstead form, const NodeRef& dir, const std::string& path,
                              BranchIndex branch) {
    if (form == LinkInstead::relative) return relative_path(TRY(ctx.tree.path_of(dir)), path);
    const std::string& root =
        form == LinkInstead::on_branch ? ctx.tree.set().at(branch).path() : ctx.tree.pool().mountpoint;
    return root == "/" ? path : root + path;
}

Status make_link(Context& ctx, const Request& request, const Place& at, const std::string& text) {
    const Entry made = TRY(symlink(ctx, request, id_of(at.parent), at.name, text.c_str()));
    forget(ctx, made.id, 1);
    return {};
}

Result<Entry> link_instead(Context& ctx, const Request& request, const NodeRef& node, const Place& at,
                           BranchIndex branch) {
    const LinkInstead form = ctx.tree.pool().link_instead;
    std::optional<Link> name;
    {
        LockedNode state(*node);
        if (!state->links.empty()) name = state->links[0];
    }
    if (form == LinkInstead::none || !name) return Errno(EXDEV);
    const std::string path = TRY(ctx.tree.path_of(name->parent)) + "/" + name->name;
    TRY(make_link(ctx, request, at, TRY(link_text(ctx, form, at.parent, path, branch))));
    // It is not the object: nobody may remember what the answer says.
    Entry entry = TRY(entry_of(ctx, node));
    entry.timeout = entry.attr.timeout = 0;
    return entry;
}

// Whether the new name may lie on a branch.
bool may_lie_on(Context& ctx, const NodeRef& parent, BranchIndex branch) {
    if (!ctx.tree.keeps_paths()) return true;
    LockedNode state(*parent);
    return std::find(state->as_dir->layers.begin(), state->as_dir->layers.end(), branch) != state->as_dir->layers.end();
}

// The copies that the policy means beside the winner.
Result<std::vector<ChangedCopy>> copies_to_link(Context& ctx, const Request& request, const NodeRef& node) {
    if (!ctx.tree.set().several_writable()) return std::vector<ChangedCopy>();
    return copies_to_change(ctx, node, config::Function::link, request.copy_up_metadata());
}

// Nobody may come at what is moved who could not before: what somebody else made or opened there takes nothing, nor is
// an ACL copied.
Status require_same_rights(Context& ctx, const NodeRef& dir, const NodeRef& original, const sys::Stat& like) {
    const auto st = TRY(ctx.tree.stat_object(dir));
    if (st.stx_mode != like.stx_mode || st.stx_uid != like.stx_uid || st.stx_gid != like.stx_gid) return Errno(EXDEV);
    for (const NodeRef& one : {dir, original}) {
        if (ops::getxattr(ctx, id_of(one), "system.posix_acl_access", {})) return Errno(EXDEV);
    }
    return {};
}

// A directory of the union below the one for moved objects, looking like the one whose path it has.
Result<NodeRef> enter_moved_dir(Context& ctx, const NodeRef& parent, const Name& name, const NodeRef& original) {
    const auto like = TRY(ctx.tree.stat_object(original));
    const NodeId id = id_of(parent);
    const Request daemon{};
    auto entry = lookup(ctx, id, name);
    if (!entry && !entry.failed_with(ENOENT)) return entry.error();
    const bool made = !entry;
    if (made) entry = TRY(mkdir(ctx, daemon, id, name, 0700));
    const NodeRef node = ctx.tree.nodes().find(entry->id);
    forget(ctx, entry->id, 1);
    if (!node) return Errno(ESTALE);
    if (!node->is_dir()) return Errno(EXDEV);
    if (made) {
        AttrChange change;
        change.mode = like.stx_mode & 07777U;
        change.uid = like.stx_uid;
        change.gid = like.stx_gid;
        TRY(setattr(ctx, daemon, id_of(node), change));
    }
    TRY(require_same_rights(ctx, node, original, like));
    return node;
}

Result<NodeRef> find_moved_dir(Context& ctx, const NodeRef& original) {
    std::vector<Link> way;  // to the original, from below
    for (NodeRef node = original;;) {
        std::optional<Link> link;
        {
            LockedNode state(*node);
            if (!state->links.empty()) link = state->links[0];
        }
        if (!link) break;
        NodeRef parent = link->parent;
        way.push_back({node, link->name});
        node = std::move(parent);
    }
    const NodeRef root = ctx.tree.nodes().find(kRootId);
    NodeRef at = TRY(enter_moved_dir(ctx, root, TRY(Name::parse(kMovedDir)), root));
    for (auto step = way.rbegin(); step != way.rend(); ++step) {
        at = TRY(enter_moved_dir(ctx, at, TRY(Name::parse(step->name)), step->parent));
    }
    return at;
}

}  // namespace

Result<Entry> link(Context& ctx, const Request& request, NodeId id, NodeId new_parent, const Name& name) {
    const NodeRef node = TRY(node_of(ctx, id));
    const NodeRef parent = TRY(node_of(ctx, new_parent));
    TRY(require_free_for_users(ctx, *parent, name));
    TRY(may_gain_name(parent));
    TRY(may_change(node));
    const auto turn = TRY(Changing::begin(ctx.tree, node, request.copy_up_metadata()));
    TRY(ensure_writable(ctx.tree, node, request.copy_up_metadata()));
    TRY(make_findable(ctx.tree, node));
    auto object = TRY(ctx.tree.find_object(node));
    if (TRY(would_be_hidden(ctx, parent, name, object.branch)) || !may_lie_on(ctx, parent, object.branch)) {
        return link_instead(ctx, request, node, {parent, name}, object.branch);
    }
    const auto copies = TRY(copies_to_link(ctx, request, node));
    if (LockedNode(*node)->marked) {
        TRY(ensure_dir_on(ctx.tree, parent, object.branch));
        TRY(make_impure(ctx.tree, parent));
    }
    // The name belongs to whoever links, but the object is there already: no credentials to act under.
    const Request daemon{};
    TRY(place_on(ctx, daemon, parent, name, object.branch, {},
                 [&](BorrowedFd dir, const Name& as) { return sys::link_fd(object.fd, dir, as); }));
    for (const ChangedCopy& copy : copies) {
        if (copy.branch == object.branch || !may_lie_on(ctx, parent, copy.branch)) continue;
        auto linked = place_on(ctx, daemon, parent, name, copy.branch, {},
                               [&](BorrowedFd dir, const Name& as) { return sys::link_fd(copy.fd, dir, as); });
        if (!linked) log::debug("a copy of {} is not linked on branch {}", name.view(), copy.branch);
    }
    {
        LockedNode state(*node);
        state->links.push_back({parent, name.str()});
        state->unlinked = false;
        state->pinned.reset();
        state->pinned_while_open = false;
    }
    return insist([&] { return entry_of(ctx, node); });
}

Status move_behind_link(Context& ctx, const Request& request, const Place& from, const Place& to) {
    constexpr int kMostNames = 1000;  // of objects that had the same path one after the other
    const LinkInstead form = ctx.tree.pool().rename_instead;
    if (form == LinkInstead::none) return Errno(EXDEV);
    if (is_seen(TRY(look_at(ctx, to.parent, to.name, Open::nothing)))) return Errno(EXDEV);
    const NodeRef dir = TRY(find_moved_dir(ctx, from.parent));
    for (int number = 0; number < kMostNames; ++number) {
        const std::string free = from.name.str() + (number ? "." + std::to_string(number) : "");
        const Place moved{dir, TRY(Name::parse(free))};
        if (is_seen(TRY(look_at(ctx, dir, moved.name, Open::nothing)))) continue;
        const std::string path = TRY(ctx.tree.path_of(dir)) + "/" + free;
        // First, for the one rename after it to make the new name lead there and to take the old one away.
        TRY(make_link(ctx, request, to, TRY(link_text(ctx, form, to.parent, path, -1))));
        auto done = move_name(ctx, request, from, moved, RENAME_NOREPLACE, Where::anywhere);
        if (done) return done;
        if (!unlink(ctx, Request{}, id_of(to.parent), to.name)) {
            log::warn("the symbolic link {} leads nowhere", to.name.view());
        }
        if (!done.failed_with(EEXIST)) return done;
    }
    return Errno(EXDEV);
}

}  // namespace plyfs::ops

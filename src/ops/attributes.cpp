#include "ops/attributes.h"

#include <algorithm>

#include "base/insist.h"
#include "branch/acl.h"
#include "node/faces.h"
#include "node/kept_times.h"
#include "node/link_cow.h"
#include "node/open_object.h"
#include "node/winner.h"
#include "ops/copies.h"
#include "ops/protection.h"
#include "ops/room.h"
#include "overlay/marks.h"
#include "overlay/staging.h"
#include "sys/attributes.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ops {
namespace {

// The file the daemon changes for a user is bounded by the user's quota and reserve, not by root's.
Status set_size(Context& ctx, BranchIndex branch, BorrowedFd fd, std::uint64_t size) {
    if (ctx.tree.set().at(branch).network()) return sys::change_size(fd, static_cast<off_t>(size));
    sys::RegistrationCred cred;
    TRY(cred.status());
    return sys::change_size(fd, static_cast<off_t>(size));
}

bool is_in_group(const IdMap& ids, const sys::Caller& caller, gid_t group) {
    if (caller.uid == 0 || caller.gid == group) return true;
    const auto groups = groups_of(ids, caller);
    return std::find(groups.begin(), groups.end(), group) != groups.end();
}

// An owner that can not be stored, and that nobody would see because another one is shown for all, is none to miss.
Status change_owner(Context& ctx, const ChangedCopy& object, const AttrChange& change) {
    const IdMap& ids = ctx.tree.set().ids();
    const Ownership& ownership = ctx.tree.set().at(object.branch).ownership();
    auto uid = change.uid;
    auto gid = change.gid;
    if (uid) uid = ids.disk_uid(*uid);
    if (gid) gid = ids.disk_gid(*gid);
    auto done = ownership.set_owner(object.fd, uid, gid);
    if (done || !ids.squashes()) return done;
    if (ids.squashes_uid()) uid.reset();
    if (ids.squashes_gid()) gid.reset();
    return uid || gid ? ownership.set_owner(object.fd, uid, gid) : Status();
}

Status clear_set_ids(Context& ctx, const sys::Caller& caller, BorrowedFd file, BranchIndex branch) {
    const Ownership& ownership = ctx.tree.set().at(branch).ownership();
    const auto st = TRY(ownership.stat_fd(file));
    const mode_t mode = st.stx_mode & 07777;
    mode_t kept = mode & ~static_cast<mode_t>(S_ISUID);
    if ((mode & S_ISGID) && ((mode & S_IXGRP) || !is_in_group(ctx.tree.set().ids(), caller, st.stx_gid))) {
        kept &= ~static_cast<mode_t>(S_ISGID);
    }
    return kept == mode ? Status() : ownership.set_mode(file, kept);
}

Status apply(Context& ctx, const sys::Caller& caller, const ChangedCopy& object, const AttrChange& change) {
    const BorrowedFd fd = object.fd;
    // A copy that was made for this has no more than that size already.
    if (change.size) TRY(insist([&] { return set_size(ctx, object.branch, fd, *change.size); }));
    if (change.uid || change.gid) TRY(change_owner(ctx, object, change));
    if (change.mode) TRY(ctx.tree.set().at(object.branch).ownership().set_mode(fd, *change.mode & 07777));
    if (change.kill_privileges && !change.mode) {
        // A change of owner has taken the capability away already.
        const bool owner = change.uid || change.gid;
        if (!owner) TRY(insist([&] { return kill_privileges(ctx, caller, fd, object.branch); }));
        if (owner && object.may_have_set_ids)
            TRY(insist([&] { return clear_set_ids(ctx, caller, fd, object.branch); }));
    }
    if (change.atime || change.mtime) {
        constexpr timespec kOmit{0, UTIME_OMIT};
        const auto set = object.is_dir ? set_directory_times : sys::set_times;
        TRY(set(fd, change.atime.value_or(kOmit), change.mtime.value_or(kOmit)));
    }
    return {};
}

// One request may change several; the gravest says where.
config::Function function_of(const AttrChange& change) {
    if (change.size) return config::Function::truncate;
    if (change.uid || change.gid) return config::Function::chown;
    return change.mode ? config::Function::chmod : config::Function::utimens;
}

// By a path. A size change under readers of the original would cut their file short in the kernel's eyes.
Status split_for_size(Context& ctx, const Request& request, const NodeRef& node, NodeId id) {
    LockedNode state(*node);
    TRY(require_name(state, request.caller.pid));
    Face* face = state->face_of(id);
    if (!face || !face->opens || face->opens->passthrough == 0) return {};
    Opens& opens = *face->opens;
    if (opens.backing && opens.backing->generation() == node->data_generation()) return {};
    // No path to walk again: in place, as the file's new size is right for everybody but old readers.
    if (std::erase(opens.told_stale, request.caller.pid) > 0) return {};
    retire_face(ctx.tree, state, *face, request.caller.pid);
    return Errno(ESTALE);
}

// Attributes that mark what lies on a branch, not what the user stored, can not be reached through the mount.
Result<std::string> stored_name(Context& ctx, BranchIndex branch, const char* name, int unreachable = EPERM) {
    const BranchSet& set = ctx.tree.set();
    const auto stored = set.at(branch).ownership().stored_xattr(name);
    if (!stored) return Errno(unreachable);
    if (!set.uses_marks()) return *stored;
    if (marks::is_unreachable_xattr(*stored)) return Errno(unreachable);
    return marks::stored_xattr(*stored);
}

// An ACL where the mode is kept beside the inode: the branch's file system can not keep the two in step.
Status follow_acl(Context& ctx, const sys::Caller& caller, const ChangedCopy& object,
                  std::span<const std::byte> value) {
    const Branch& branch = ctx.tree.set().at(object.branch);
    const auto bits = acl::permissions(value);
    if (!branch.ownership().overrides() || !bits) return {};
    const auto st = TRY(branch.stat_fd(object.fd));
    mode_t mode = (st.stx_mode & 07000U) | *bits;
    if ((mode & S_ISGID) && !is_in_group(ctx.tree.set().ids(), caller, st.stx_gid)) {
        mode &= ~static_cast<mode_t>(S_ISGID);
    }
    return branch.ownership().set_mode(object.fd, mode);
}

Result<std::size_t> get_shown_xattr(Context& ctx, BorrowedFd object, BranchIndex branch, const char* name,
                                    std::span<std::byte> buffer) {
    const std::string stored = TRY(stored_name(ctx, branch, name, ENODATA));
    const IdMap& ids = ctx.tree.set().ids();
    if (!ids.translates_value(name)) return sys::get_xattr(object, stored.c_str(), buffer);
    const auto value = ids.shown_value(name, TRY(sys::get_xattr_all(object, stored.c_str())));
    if (!buffer.empty() && buffer.size() < value.size()) return Errno(ERANGE);
    if (!buffer.empty()) std::copy(value.begin(), value.end(), buffer.begin());
    return value.size();
}

// The file of passthrough opens, when the winner's attributes are its own: the kernel asks for the capabilities of each
// file that is written to.
std::shared_ptr<Backing> open_winner(const NodeRef& node) {
    LockedNode state(*node);
    const Opens* opens = state->face.opens.get();
    if (!opens || opens->passthrough == 0 || !opens->backing || !opens->backing->path().valid()) return nullptr;
    const bool same = opens->backing->generation() == node->data_generation() && state->content_branch < 0 &&
                      opens->backing->branch() == state->winner;
    return same ? opens->backing : nullptr;
}

// While the node is not moved.
Result<Attr> change_copies(Context& ctx, const Request& request, const NodeRef& node, NodeId id,
                           const AttrChange& change, const CopyUpRequest& how) {
    if (node->is_dir()) {
        TRY(change_parts(ctx, node, function_of(change), how,
                         [&](const ChangedCopy& part) { return apply(ctx, request.caller, part, change); }));
        const auto st = TRY(insist([&] { return ctx.tree.stat_object(node); }));
        LockedNode state(*node);
        return show(ctx, state, id, st);
    }
    const auto copies = change.size && change.by_handle ? TRY(winner_to_change(ctx, node, how))
                                                        : TRY(copies_to_change(ctx, node, function_of(change), how));
    if (change.size && !change.by_handle) TRY(split_for_size(ctx, request, node, id));
    const ChangedCopy& first = copies.front();
    const bool of_winner = first.branch == LockedNode(*node)->winner;
    TRY(change_each(ctx, node, copies,
                    [&](const ChangedCopy& copy) { return apply(ctx, request.caller, copy, change); }));
    auto st = TRY(insist(
        [&] { return of_winner ? ctx.tree.set().at(first.branch).stat_fd(first.fd) : ctx.tree.stat_object(node); }));
    if (LockedNode(*node)->content_branch >= 0) {
        st.stx_blocks = TRY(insist([&] { return ctx.tree.stat_content(node); })).stx_blocks;
    }
    LockedNode state(*node);
    if (change.size) state->changed_since_copy = true;
    return show(ctx, state, id, st);
}

}  // namespace

Status kill_privileges(Context& ctx, const sys::Caller& caller, BorrowedFd file, BranchIndex branch) {
    const Ownership& ownership = ctx.tree.set().at(branch).ownership();
    TRY(clear_set_ids(ctx, caller, file, branch));
    const std::string name = *ownership.stored_xattr("security.capability");
    auto removed = sys::remove_xattr(file, name.c_str());
    if (removed || removed.failed_with(ENODATA) || removed.failed_with(EOPNOTSUPP)) return {};
    if (!removed.failed_with(EPERM)) return removed;
    // Attributes of users are for plain files and directories, so there was none. And of a file that can only be
    // appended to none can be taken away, not even one that is not there.
    return ownership.overrides() || sys::get_xattr(file, name.c_str(), {}).failed_with(ENODATA) ? Status() : removed;
}

namespace {

bool only_kills(const AttrChange& change) {
    return change.kill_privileges && !change.mode && !change.uid && !change.gid && !change.size && !change.atime &&
           !change.mtime;
}

// The kernel says in the same words that a write takes the set-id bits, and that somebody has called chown(2) with no
// owner and no group, which it checks nothing of: with such bits that is for the owner. Nobody writes without an open.
Status may_kill(Context& ctx, const Request& request, const NodeRef& node) {
    if (LockedNode(*node)->writers > 0 || request.caller.uid == 0) return {};
    const auto st = TRY(insist([&] { return ctx.tree.stat_object(node); }));
    const bool set_ids = (st.stx_mode & (S_ISUID | S_ISGID)) != 0;
    return set_ids && st.stx_uid != request.caller.uid ? Status(Errno(EPERM)) : Status();
}

}  // namespace

Result<Attr> setattr(Context& ctx, const Request& request, NodeId id, const AttrChange& change) {
    const NodeRef node = TRY(node_of(ctx, id));
    if (change.size && node->is_dir()) return Errno(EISDIR);
    if (only_kills(change)) {
        if (node->is_dir()) return getattr(ctx, id);  // a directory's bits stay
        TRY(may_kill(ctx, request, node));
    }
    TRY(may_set(node, change));
    const CopyUpRequest how = change.size ? request.copy_up(*change.size) : request.copy_up_metadata();
    if (change.size && !change.by_handle && ctx.tree.pool().files.link_cow) {
        TRY(ensure_writable(ctx.tree, node, how));
        TRY(part_name(ctx.tree, node, how));
    }
    if (change.size) {
        return with_room(ctx, request, node, {*change.size, 0},
                         [&] { return change_copies(ctx, request, node, id, change, how); });
    }
    const auto turn = TRY(Changing::begin(ctx.tree, node, how));
    return change_copies(ctx, request, node, id, change, how);
}

Result<std::string> readlink(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    return target_of(ctx, node);
}

Result<std::size_t> getxattr(Context& ctx, NodeId id, const char* name, std::span<std::byte> buffer) {
    const NodeRef node = TRY(node_of(ctx, id));
    if (node->is_dir()) {
        // Asked at each creation of an object in it, for its default ACL: without a descriptor of our own.
        const bool pinned = LockedNode(*node)->pinned.valid();
        if (!pinned) {
            const auto winner = TRY(winner_dir(ctx.tree, node));
            return get_shown_xattr(ctx, *winner.dir, winner.branch, name, buffer);
        }
    }
    if (const auto open = open_winner(node)) return get_shown_xattr(ctx, open->path(), open->branch(), name, buffer);
    if (!ctx.tree.set().ids().translates_value(name)) {
        const auto asked = ctx.tree.ask_by_name(
            node, [&](BranchIndex branch, BorrowedFd dir, const Name& entry) -> Result<std::size_t> {
                return sys::get_xattr_at(dir, entry.c_str(), TRY(stored_name(ctx, branch, name, ENODATA)).c_str(),
                                         buffer);
            });
        if (asked) return *asked;
    }
    const auto object = TRY(ctx.tree.find_object(node));
    return get_shown_xattr(ctx, object.fd, object.branch, name, buffer);
}

Result<std::string> listxattr(Context& ctx, const Request& request, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    const auto object = TRY(ctx.tree.find_object(node));
    std::string out;
    std::string seen;
    const Ownership& ownership = ctx.tree.set().at(object.branch).ownership();
    for (const auto& stored : TRY(sys::list_xattr(object.fd))) {
        const auto kept = ownership.seen_xattr(stored);
        if (!kept || acl::is_stored_form(*kept)) continue;
        if (!ctx.tree.set().uses_marks()) {
            seen = *kept;
        } else if (!marks::seen_xattr(*kept, seen)) {
            continue;
        }
        // Which of these there are is not for everybody.
        if (request.caller.uid != 0 && seen.starts_with("trusted.")) continue;
        out.append(seen).push_back('\0');
    }
    return out;
}

Status setxattr(Context& ctx, const Request& request, NodeId id, const char* name, std::span<const std::byte> value,
                int flags) {
    const NodeRef node = TRY(node_of(ctx, id));
    TRY(may_change(node));
    const IdMap& ids = ctx.tree.set().ids();
    std::vector<std::byte> translated;
    if (ids.translates_value(name)) {
        translated = ids.disk_value(name, {value.begin(), value.end()});
        value = translated;
    }
    // An ACL that a non-member of the group sets takes setgid away: the branch decides that by the caller's
    // credentials, which for this need the supplementary groups.
    const bool acl = std::string_view(name) == acl::kAccess;
    std::vector<gid_t> groups;
    if (acl && request.caller.uid != 0) groups = groups_of(ids, request.caller);
    const auto set = [&](const ChangedCopy& object) -> Status {
        const std::string stored = TRY(stored_name(ctx, object.branch, name));
        if (acl && !ctx.tree.set().at(object.branch).ownership().overrides()) {
            sys::ActAs caller(request.caller, groups);
            TRY(caller.status());
            TRY(sys::set_xattr(object.fd, stored.c_str(), value, flags));
        } else {
            TRY(sys::set_xattr(object.fd, stored.c_str(), value, flags));
            if (acl) TRY(follow_acl(ctx, request.caller, object, value));
        }
        return {};
    };
    return with_room(ctx, request, node, {.bytes = value.size(), .of_inode = true}, [&]() -> Status {
        constexpr auto kWhat = config::Function::setxattr;
        if (node->is_dir()) return change_parts(ctx, node, kWhat, request.copy_up_metadata(), set);
        const auto copies = TRY(copies_to_change(ctx, node, kWhat, request.copy_up_metadata()));
        return change_each(ctx, node, copies, set);
    });
}

Status removexattr(Context& ctx, const Request& request, NodeId id, const char* name) {
    const NodeRef node = TRY(node_of(ctx, id));
    TRY(may_change(node));
    {
        // What is not there needs no copy-up to be missing.
        const auto object = TRY(ctx.tree.find_object(node));
        TRY(sys::get_xattr(object.fd, TRY(stored_name(ctx, object.branch, name)).c_str(), {}));
    }
    const auto turn = TRY(Changing::begin(ctx.tree, node, request.copy_up_metadata()));
    const auto remove = [&](const ChangedCopy& copy) -> Status {
        return sys::remove_xattr(copy.fd, TRY(stored_name(ctx, copy.branch, name)).c_str());
    };
    constexpr auto kWhat = config::Function::removexattr;
    if (node->is_dir()) return change_parts(ctx, node, kWhat, request.copy_up_metadata(), remove);
    const auto copies = TRY(copies_to_change(ctx, node, kWhat, request.copy_up_metadata()));
    return change_each(ctx, node, copies, remove);
}

}  // namespace plyfs::ops

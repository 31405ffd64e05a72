#include "ops/attributes.h"

#include <algorithm>

#include "node/faces.h"
#include "overlay/marks.h"
#include "sys/attributes.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ops {
namespace {

// The objects a change of a node applies to: a file's winner, a directory on every branch that may be modified, so that
// it looks the same whichever of its branches answers later.
Result<std::vector<UniqueFd>> writable_objects(Context& ctx, const NodeRef& node, const CopyUpRequest& request) {
    std::vector<UniqueFd> out;
    if (!node->is_dir()) {
        TRY(ensure_writable(ctx.tree, node, request));
        out.push_back(std::move(TRY(ctx.tree.find_object(node)).fd));
        return out;
    }
    if (node->is_dir() && !LockedNode(*node)->unlinked) TRY(ensure_dir_writable(ctx.tree, node));
    if (LockedNode(*node)->pinned.valid()) {
        out.push_back(std::move(TRY(ctx.tree.find_object(node)).fd));
        return out;
    }
    const std::vector<BranchIndex> layers = LockedNode(*node)->layers;
    for (BranchIndex branch : layers) {
        if (!ctx.tree.set().at(branch).writable()) continue;
        if (auto dir = ctx.tree.dir_on(node, branch)) {
            out.push_back(TRY(sys::duplicate(**dir)));
        } else if (out.empty()) {
            return dir.error();
        }
    }
    if (out.empty()) return Errno(EROFS);
    return out;
}

// The file the daemon changes for a user is bounded by the user's quota and reserve, not by root's.
Status set_size(Context& ctx, const NodeRef& node, BorrowedFd fd, std::uint64_t size) {
    const BranchIndex branch = LockedNode(*node)->winner;
    if (ctx.tree.set().at(branch).network()) return sys::change_size(fd, static_cast<off_t>(size));
    sys::RegistrationCred cred;
    TRY(cred.status());
    return sys::change_size(fd, static_cast<off_t>(size));
}

bool is_in_group(const sys::Caller& caller, gid_t group) {
    if (caller.uid == 0 || caller.gid == group) return true;
    const auto groups = sys::read_groups(caller.pid);
    return groups && std::find(groups->begin(), groups->end(), group) != groups->end();
}

Status clear_set_ids(const sys::Caller& caller, BorrowedFd file, const sys::Stat& st) {
    mode_t mode = st.stx_mode & 07777;
    mode_t kept = mode & ~static_cast<mode_t>(S_ISUID);
    if ((mode & S_ISGID) && ((mode & S_IXGRP) || !is_in_group(caller, st.stx_gid))) {
        kept &= ~static_cast<mode_t>(S_ISGID);
    }
    return kept == mode ? Status() : sys::set_mode(file, kept);
}

Status apply(Context& ctx, const sys::Caller& caller, const NodeRef& node, BorrowedFd fd, const AttrChange& change) {
    if (change.size) TRY(set_size(ctx, node, fd, *change.size));
    if (change.uid || change.gid) {
        TRY(sys::set_owner(fd, change.uid.value_or(static_cast<uid_t>(-1)),
                           change.gid.value_or(static_cast<gid_t>(-1))));
    }
    if (change.mode) TRY(sys::set_mode(fd, *change.mode & 07777));
    if (change.kill_privileges && !change.mode) {
        const auto st = TRY(sys::stat_fd(fd));
        // A change of owner has taken the capability away already.
        TRY(change.uid || change.gid ? clear_set_ids(caller, fd, st) : kill_privileges(caller, fd, st));
    }
    if (change.atime || change.mtime) {
        constexpr timespec kOmit{0, UTIME_OMIT};
        TRY(sys::set_times(fd, change.atime.value_or(kOmit), change.mtime.value_or(kOmit)));
    }
    return {};
}

// A size change under readers of the original would cut their file short in the kernel's eyes.
Status split_for_size(Context& ctx, const Request& request, const NodeRef& node, NodeId id) {
    LockedNode state(*node);
    Face* face = state->face_of(id);
    if (!face || !face->opens || face->opens->passthrough == 0) return {};
    Opens& opens = *face->opens;
    if (opens.backing && opens.backing->generation() == node->data_generation()) return {};
    if (std::find(opens.told_stale.begin(), opens.told_stale.end(), request.caller.pid) != opens.told_stale.end()) {
        return {};  // no path to walk again: in place, as the file's new size is right for everybody but old readers
    }
    retire_face(ctx.tree, state, *face, request.caller.pid);
    return Errno(ESTALE);
}

// Attributes that mark what lies on a branch, not what the user stored, can not be reached through the mount.
Result<std::string> stored_name(Context& ctx, const char* name, int unreachable = EPERM) {
    if (!ctx.tree.set().uses_marks()) return std::string(name);
    if (marks::is_unreachable_xattr(name)) return Errno(unreachable);
    return marks::stored_xattr(name);
}

}  // namespace

Status kill_privileges(const sys::Caller& caller, BorrowedFd file, const sys::Stat& st) {
    TRY(clear_set_ids(caller, file, st));
    auto removed = sys::remove_xattr(file, "security.capability");
    if (removed || removed.failed_with(ENODATA) || removed.failed_with(EOPNOTSUPP)) return {};
    return removed;
}

Result<Attr> setattr(Context& ctx, const Request& request, NodeId id, const AttrChange& change) {
    const NodeRef node = TRY(node_of(ctx, id));
    if (change.size && node->is_dir()) return Errno(EISDIR);
    auto objects =
        TRY(writable_objects(ctx, node, change.size ? request.copy_up(*change.size) : request.copy_up_metadata()));
    if (change.size && !change.by_handle) TRY(split_for_size(ctx, request, node, id));
    for (const auto& object : objects) TRY(apply(ctx, request.caller, node, object, change));
    auto st = TRY(sys::stat_fd(objects.front()));
    if (LockedNode(*node)->data >= 0) st.stx_blocks = TRY(ctx.tree.find_content(node)).st.stx_blocks;
    LockedNode state(*node);
    if (change.size) state->changed_since_copy = true;
    return show(ctx, state, id, st);
}

Result<std::string> readlink(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    return sys::read_symlink(TRY(ctx.tree.find_object(node)).fd);
}

Result<std::size_t> getxattr(Context& ctx, NodeId id, const char* name, std::span<std::byte> buffer) {
    const NodeRef node = TRY(node_of(ctx, id));
    const std::string stored = TRY(stored_name(ctx, name, ENODATA));
    if (node->is_dir()) {
        // Asked at each creation of an object in it, for its default ACL: without a descriptor of our own.
        BranchIndex winner = -1;
        {
            LockedNode state(*node);
            if (!state->pinned.valid()) winner = state->winner;
        }
        if (winner >= 0) return sys::get_xattr(*TRY(ctx.tree.dir_on(node, winner)), stored.c_str(), buffer);
    }
    const auto object = TRY(ctx.tree.find_object(node));
    return sys::get_xattr(object.fd, stored.c_str(), buffer);
}

Result<std::string> listxattr(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    const auto object = TRY(ctx.tree.find_object(node));
    std::string out;
    std::string seen;
    for (const auto& stored : TRY(sys::list_xattr(object.fd))) {
        if (!ctx.tree.set().uses_marks()) {
            seen = stored;
        } else if (!marks::seen_xattr(stored, seen)) {
            continue;
        }
        out.append(seen).push_back('\0');
    }
    return out;
}

Status setxattr(Context& ctx, const Request& request, NodeId id, const char* name, std::span<const std::byte> value,
                int flags) {
    const NodeRef node = TRY(node_of(ctx, id));
    const std::string stored = TRY(stored_name(ctx, name));
    auto objects = TRY(writable_objects(ctx, node, request.copy_up_metadata()));
    // An ACL that a non-member of the group sets takes setgid away: the branch decides that by the caller's
    // credentials, which for this need the supplementary groups.
    const bool acl = stored.starts_with("system.posix_acl_access");
    std::vector<gid_t> groups;
    if (acl && request.caller.uid != 0) {
        if (auto known = sys::read_groups(request.caller.pid)) groups = std::move(*known);
    }
    for (const auto& object : objects) {
        if (acl) {
            sys::ActAs caller(request.caller, groups);
            TRY(caller.status());
            TRY(sys::set_xattr(object, stored.c_str(), value, flags));
        } else {
            TRY(sys::set_xattr(object, stored.c_str(), value, flags));
        }
    }
    return {};
}

Status removexattr(Context& ctx, const Request& request, NodeId id, const char* name) {
    const NodeRef node = TRY(node_of(ctx, id));
    const std::string stored = TRY(stored_name(ctx, name));
    {
        // What is not there needs no copy-up to be missing.
        const auto object = TRY(ctx.tree.find_object(node));
        TRY(sys::get_xattr(object.fd, stored.c_str(), {}));
    }
    auto objects = TRY(writable_objects(ctx, node, request.copy_up_metadata()));
    for (std::size_t i = 0; i < objects.size(); ++i) {
        auto removed = sys::remove_xattr(objects[i], stored.c_str());
        if (!removed && (i == 0 || !removed.failed_with(ENODATA))) return removed;
    }
    return {};
}

}  // namespace plyfs::ops

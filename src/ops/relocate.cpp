#include "ops/relocate.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "node/copy_names.h"
#include "node/move.h"
#include "node/source.h"
#include "ops/walk.h"
#include "ops/where.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ops {
namespace {

Relocated stays(std::string why, BranchIndex now = -1) {
    return {.done = false, .why = std::move(why), .now = now};
}

bool has(const std::vector<BranchIndex>& branches, BranchIndex branch) {
    return std::find(branches.begin(), branches.end(), branch) != branches.end();
}

// Whoever reads a directory goes on at once, or keeps it open for something else.
constexpr auto kListingTime = std::chrono::seconds(10);
constexpr auto kListingIdle = std::chrono::seconds(1);
constexpr auto kListingPause = std::chrono::milliseconds(5);

std::chrono::steady_clock::time_point last_read(const NodeRef& file) {
    std::vector<Link> links;
    {
        LockedNode state(*file);
        links = state->links;
    }
    std::chrono::steady_clock::time_point last;
    for (const Link& link : links) {
        LockedNode dir(*link.parent);
        const auto& listings = dir->as_dir->listings;
        if (listings && listings->by_offsets > 0) last = std::max(last, listings->by_offsets_read);
    }
    return last;
}

// Nobody but who reads its directories just now knows what is in them.
Status move_unlisted(Context& ctx, const NodeRef& node, const MoveRequest& move, const CopyUpRequest& how) {
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
        auto moved = move_as_asked(ctx.tree, node, move, how);
        if (!moved.failed_with(EAGAIN)) return moved;
        const auto now = std::chrono::steady_clock::now();
        if (now - began > kListingTime || now - last_read(node) > kListingIdle) {
            *move.why = "somebody has its directory open, and has read it in part";
            return moved;
        }
        if (how.cancelled && how.cancelled()) return Errno(EINTR);
        std::this_thread::sleep_for(kListingPause);
    }
}

Result<Relocated> relocate_file(Context& ctx, const NodeRef& node, const RelocateRequest& request) {
    const std::uint32_t generation = node->data_generation();
    const BranchIndex winner = LockedNode(*node)->winner;
    if (winner != request.from) {
        const bool copy = has(TRY(branches_of(ctx, node)), request.from);
        return copy ? stays("it is a copy of what " + ctx.tree.set().at(winner).path() + " has", winner)
                    : Relocated{.done = true, .why = {}, .now = winner};
    }
    std::string why;
    MoveRequest move;
    move.full = Errno(EBUSY);
    move.data_generation = generation;
    move.why = &why;
    move.to = request.to;
    const auto moved = move_unlisted(ctx, node, move, {.may_block = true, .cancelled = request.cancelled});
    const BranchIndex now = LockedNode(*node)->winner;
    if (moved && now != request.from) return Relocated{.done = true, .why = {}, .now = now};
    if (moved) return stays("somebody else was changing it", now);
    if (moved.failed_with(EINTR)) return Errno(EINTR);
    return stays(why.empty() ? log::errno_text(moved.error().value()) : why, now);
}

// A part that says what the others say, somewhere else.
Status have_elsewhere(Context& ctx, const NodeRef& dir, BranchIndex from) {
    const auto layers = LockedNode(*dir)->as_dir->layers;
    const auto keeps = [&](BranchIndex branch) {
        const Branch& at = ctx.tree.set().at(branch);
        return branch != from && at.present() && at.takes_new_names();
    };
    if (std::any_of(layers.begin(), layers.end(), keeps)) return {};
    const auto ranked = TRY(ctx.tree.rank_branches(dir, {.away_from = from, .same_disk = true}));
    Errno last(EROFS);
    for (BranchIndex branch : ranked.branches) {
        auto made = ensure_dir_on(ctx.tree, dir, branch);
        if (made) return made;
        last = made.error();
    }
    return last;
}

// Whether who may do what is said the same by two parts of a directory. What one of them forbids is forbidden as long
// as it is there.
Result<bool> have_same_rights(BorrowedFd a, BorrowedFd b) {
    const auto one = TRY(sys::stat_fd(a)), other = TRY(sys::stat_fd(b));
    if (one.stx_mode != other.stx_mode || one.stx_uid != other.stx_uid || one.stx_gid != other.stx_gid) return false;
    for (const char* acl : {"system.posix_acl_access", "system.posix_acl_default"}) {
        const auto of_one = sys::get_xattr_all(a, acl), of_other = sys::get_xattr_all(b, acl);
        if (of_one.has_value() != of_other.has_value() || (of_one && *of_one != *of_other)) return false;
    }
    return true;
}

Result<Relocated> relocate_dir(Context& ctx, const NodeRef& dir, BranchIndex from) {
    if (auto elsewhere = have_elsewhere(ctx, dir, from); !elsewhere) {
        return stays("no other branch takes it: " + log::errno_text(elsewhere.error().value()));
    }
    NodeRef parent;
    std::string written;
    {
        LockedNode state(*dir);
        if (state->links.empty()) return stays("it is the root, or has no name");
        if (!has(state->as_dir->layers, from)) return Relocated{.done = true, .why = {}, .now = state->winner};
        parent = state->links[0].parent;
        written = state->links[0].name;
    }
    const Name name = TRY(Name::parse(written));
    const auto above = TRY(ctx.tree.dir_on(parent, from));
    const auto first = [&](const std::vector<BranchIndex>& layers) {
        return *std::find_if(layers.begin(), layers.end(), [&](BranchIndex b) { return b != from; });
    };
    const BranchIndex next = first(LockedNode(*dir)->as_dir->layers);
    const auto there = TRY(ctx.tree.dir_on(dir, next));
    if (!TRY(have_same_rights(*TRY(ctx.tree.dir_on(dir, from)), *there))) {
        return stays("its owner, mode or ACL is another one on " + ctx.tree.set().at(next).path() +
                     "; make them the same first");
    }
    const auto key = sys::key_of(TRY(sys::stat_fd(*there)));
    // It must not be nowhere after a crash.
    TRY(settle_names(ctx.tree, {Link{parent, written}}, next, *above));
    LockedNode state(*dir);
    if (state->links.empty() || !(state->links[0].parent == parent) || state->links[0].name != written ||
        !has(state->as_dir->layers, from) || first(state->as_dir->layers) != next) {
        return stays("it was renamed or changed meanwhile");
    }
    if (auto removed = sys::remove_dir(*above, name); !removed) {
        return stays(removed.failed_with(ENOTEMPTY) ? "it is not empty" : log::errno_text(removed.error().value()));
    }
    auto layers = state->as_dir->layers;
    std::erase(layers, from);
    take_parts(ctx.tree, state, key, std::move(layers));
    return Relocated{.done = true, .why = {}, .now = next};
}

}  // namespace

Result<Relocated> relocate(Context& ctx, const RelocateRequest& request) {
    if (!ctx.tree.can_move_files()) return stays("nothing moves in this mount: it has one writable branch, or layers");
    Walk walk(ctx);
    NodeRef node;
    for (const std::string& path : request.paths) {
        NodeRef found = TRY(walk.to(names_of_path(path)));
        if (node && !(found == node)) return stays("its names lead to different files");
        node = std::move(found);
    }
    if (!node) return Errno(EINVAL);
    return node->is_dir() ? relocate_dir(ctx, node, request.from) : relocate_file(ctx, node, request);
}

}  // namespace plyfs::ops

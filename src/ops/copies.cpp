#include "ops/copies.h"

#include <algorithm>

#include "base/log.h"
#include "overlay/holders.h"
#include "policy/selection.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// In the order of the branches.
struct Copy {
    Hit hit;
    UniqueFd fd;
};

bool has_set_ids(const sys::Stat& st) {
    return (st.stx_mode & (S_ISUID | S_ISGID)) != 0;
}

// Those of the winner's name on other branches of its directory.
void add_other_copies(Context& ctx, const NodeRef& node, BranchIndex winner, std::vector<Copy>& copies) {
    Link link;
    {
        LockedNode state(*node);
        if (state->links.empty()) return;
        link = state->links[0];
    }
    const auto name = Name::parse(link.name);
    const auto layers = ctx.tree.layers_of(link.parent);
    if (!name || !layers) return;
    for (const Layer& layer : *layers) {
        if (layer.branch == winner || !ctx.tree.set().at(layer.branch).writable()) continue;
        auto fd = sys::open_path(layer.fd(), *name);
        if (!fd) continue;
        const auto st = ctx.tree.set().at(layer.branch).stat_fd(*fd);
        if (!st || (st->stx_mode & S_IFMT) != node->type()) continue;
        copies.push_back({{layer.branch, *st}, std::move(*fd)});
    }
    std::sort(copies.begin(), copies.end(), [](const Copy& a, const Copy& b) { return a.hit.branch < b.hit.branch; });
}

Result<std::vector<Copy>> copies_of_file(Context& ctx, const NodeRef& node, const CopyUpRequest& request) {
    auto winner = TRY(find_writable(ctx.tree, node, request));
    std::vector<Copy> copies;
    const BranchIndex branch = winner.branch;
    copies.push_back({{branch, winner.st}, std::move(winner.fd)});
    if (ctx.tree.set().several_writable()) add_other_copies(ctx, node, branch, copies);
    return copies;
}

Result<std::vector<Copy>> parts_of_directory(Context& ctx, const NodeRef& node, bool compared) {
    std::vector<Copy> parts;
    const bool has_name = !LockedNode(*node)->unlinked;
    if (has_name) TRY(ensure_dir_writable(ctx.tree, node));
    if (LockedNode(*node)->pinned.valid()) {
        auto object = TRY(ctx.tree.find_object(node));
        parts.push_back({{object.branch, object.st}, std::move(object.fd)});
        return parts;
    }
    const std::vector<BranchIndex> layers = LockedNode(*node)->as_dir->layers;
    Errno last(EROFS);
    for (BranchIndex branch : layers) {
        if (!ctx.tree.set().at(branch).writable()) continue;
        const auto dir = ctx.tree.dir_on(node, branch);
        if (!dir) {
            last = dir.error();
            if (parts.empty() && !ctx.tree.set().several_writable()) return last;
            continue;
        }
        auto fd = TRY(sys::duplicate(**dir));
        Hit hit{branch, {}};
        if (compared) hit.st = TRY(ctx.tree.set().at(branch).stat_fd(fd));
        parts.push_back({hit, std::move(fd)});
    }
    if (parts.empty()) return last;
    return parts;
}

}  // namespace

Result<std::vector<ChangedCopy>> copies_to_change(Context& ctx, const NodeRef& node, config::Function function,
                                                  const CopyUpRequest& request) {
    const config::Policy policy = ctx.tree.pool().policies.of(function);
    auto copies = node->is_dir() ? TRY(parts_of_directory(ctx, node, !policy::takes_all(policy)))
                                 : TRY(copies_of_file(ctx, node, request));
    std::vector<ChangedCopy> out;
    if (!policy::takes_all(policy)) {
        std::vector<Hit> hits;
        for (const Copy& copy : copies) hits.push_back(copy.hit);
        const auto candidates = candidates_of(ctx.tree.set(), hits, policy);
        const auto chosen = TRY(policy::select_changed(policy, candidates, Tree::next_random()));
        std::erase_if(copies, [&](const Copy& copy) {
            return std::find(chosen.begin(), chosen.end(), copy.hit.branch) == chosen.end();
        });
    }
    for (Copy& copy : copies) {
        const bool is_dir = node->is_dir();
        out.push_back({std::move(copy.fd), copy.hit.branch, is_dir || has_set_ids(copy.hit.st), is_dir});
    }
    const BranchIndex winner = LockedNode(*node)->winner;
    std::stable_partition(out.begin(), out.end(), [&](const ChangedCopy& copy) { return copy.branch == winner; });
    return out;
}

Result<std::optional<BranchIndex>> chosen_copy(Context& ctx, config::Function function, std::span<const Hit> hits) {
    const config::Policy policy = ctx.tree.pool().policies.of(function);
    if (policy::refuses(policy)) return Errno(EROFS);
    const Hit& winner = hits.front();
    if (policy::takes_all(policy) || !ctx.tree.set().several_writable()) return std::optional<BranchIndex>();
    if (!ctx.tree.set().at(winner.branch).writable()) return std::optional(winner.branch);
    std::vector<Hit> same;
    for (const Hit& hit : hits) {
        if (!hit.whiteout && sys::is_dir(hit.st) == sys::is_dir(winner.st)) same.push_back(hit);
    }
    const auto candidates = candidates_of(ctx.tree.set(), same, policy);
    const auto chosen = TRY(policy::select_changed(policy, candidates, Tree::next_random()));
    return std::optional<BranchIndex>(static_cast<BranchIndex>(chosen.front()));
}

Result<std::vector<ChangedCopy>> winner_to_change(Context& ctx, const NodeRef& node, const CopyUpRequest& request) {
    auto object = TRY(find_writable(ctx.tree, node, request));
    std::vector<ChangedCopy> out;
    out.push_back({std::move(object.fd), object.branch, has_set_ids(object.st)});
    return out;
}

Status change_each(Context& ctx, const NodeRef& node, const std::vector<ChangedCopy>& copies, const Change& change) {
    const BranchIndex winner = LockedNode(*node)->winner;
    Status first;
    bool any = false;
    for (const ChangedCopy& copy : copies) {
        auto done = change(copy);
        any = any || done.has_value();
        if (done) continue;
        if (copy.branch == winner) return done;
        log::debug("a copy on {} stays as it is: {}", ctx.tree.set().at(copy.branch).path(),
                   log::errno_text(done.error().value()));
        if (first) first = done;
    }
    return any ? Status() : first;
}

Status change_parts(Context& ctx, const NodeRef& dir, config::Function function, const CopyUpRequest& request,
                    const Change& change) {
    auto copies = TRY(copies_to_change(ctx, dir, function, request));
    TRY(change_each(ctx, dir, copies, change));
    if (!ctx.tree.set().several_writable() || !policy::takes_all(ctx.tree.pool().policies.of(function))) return {};
    std::vector<BranchIndex> changed;
    for (;;) {
        for (const ChangedCopy& copy : copies) changed.push_back(copy.branch);
        {
            LockedNode state(*dir);
            const auto is_changed = [&](BranchIndex branch) {
                return !ctx.tree.set().at(branch).writable() ||
                       std::find(changed.begin(), changed.end(), branch) != changed.end();
            };
            if (state->unlinked ||
                std::all_of(state->as_dir->layers.begin(), state->as_dir->layers.end(), is_changed)) {
                ++state->as_dir.make().said;
                return {};
            }
        }
        copies = TRY(copies_to_change(ctx, dir, function, request));
        std::erase_if(copies, [&](const ChangedCopy& copy) {
            return std::find(changed.begin(), changed.end(), copy.branch) != changed.end();
        });
        if (copies.empty()) return {};  // a branch that fails
        auto done = change_each(ctx, dir, copies, change);
        // An attribute that was to be new, or to go: the part was made after that.
        if (!done && done.error() != EEXIST && done.error() != ENODATA) return done;
    }
}

}  // namespace plyfs::ops

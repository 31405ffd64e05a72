#include "ops/gone.h"

#include <algorithm>

#include "node/link_cow.h"
#include "node/move.h"
#include "node/origin.h"
#include "node/source.h"
#include "ops/parts.h"
#include "ops/protection.h"
#include "overlay/holders.h"
#include "overlay/listing.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// Directories of a mount with marks may hold some, which rmdir does not see through.
Status remove_object(Context& ctx, const Layer& layer, const Name& name, bool is_dir) {
    if (!is_dir) return sys::unlink_file(layer.fd(), name);
    auto removed = sys::remove_dir(layer.fd(), name);
    if (!removed.failed_with(ENOTEMPTY) || !ctx.tree.set().uses_marks()) return removed;
    return TRY(ctx.tree.workdir_of(layer.branch))->take_away(layer.fd(), name, false);
}

Result<Tree::Searched> choose_layers(Context& ctx, const NodeRef& parent, const Name& name) {
    auto searched = TRY(ctx.tree.layers_to_search(parent, name));
    ctx.tree.hear_names();
    return hear_of_parts(ctx, parent) ? ctx.tree.layers_to_search(parent, name) : std::move(searched);
}

Result<AtName> look_once(Context& ctx, const NodeRef& parent, const Name& name, Open open) {
    AtName at;
    if ((at.node = find_at_place(ctx.tree, parent, name.view()))) at.parts = LockedNode(*at.node)->as_dir->layers;
    auto searched = TRY(choose_layers(ctx, parent, name));
    at.layers = std::move(searched.layers);
    if (ctx.tree.own_names(*parent).has_control(name.view())) return Errno(EPERM);
    if (ctx.tree.reserves(*parent, name)) return at;
    at.hits = TRY(find_all(ctx.tree.set(), searched.candidates, name, open == Open::winner ? &at.object : nullptr));
    if (!is_seen(at) || !sys::is_dir(at.hits[0].st)) {
        at.node = {};
        at.parts.clear();
    }
    if (!is_seen(at)) return at;
    const BranchIndex first = at.hits[0].branch;
    TRY(put_winner_first(ctx.tree.set(), name, at.hits));
    if (open == Open::winner && at.hits[0].branch != first) {
        at.object = TRY(sys::open_path(at.layer(at.hits[0].branch).fd(), name));
        at.hits[0].st = TRY(ctx.tree.set().at(at.hits[0].branch).stat_fd(at.object));
    }
    const Hit& winner = at.hits[0];
    const auto key = sys::key_of(winner.st);
    if (keeps_names_apart(ctx.tree, winner.st, winner.branch)) {
        at.node = ctx.tree.nodes().find(key_of_name(key, *parent, name.view()));
    }
    if (!at.node) at.node = ctx.tree.nodes().find(key);
    if (!at.node) return at;
    at.generation = at.node->generation();
    if (LockedNode(*at.node)->content_branch >= 0) at.content = TRY(ctx.tree.fixed_places(at.node));
    return at;
}

}  // namespace

const Layer& layer_of(const Layers& layers, BranchIndex branch) {
    return *std::find_if(layers.begin(), layers.end(), [&](const Layer& layer) { return layer.branch == branch; });
}

bool is_as_seen(const AtName& at, LockedNode& node) {
    if (node.node().generation() != at.generation) return false;
    return at.parts.empty() || node->as_dir->layers == at.parts;
}

Result<AtName> look_at(Context& ctx, const NodeRef& parent, const Name& name, Open open) {
    return find_steadily(
        ctx.tree, [&] { return look_once(ctx, parent, name, open); },
        [](const Result<AtName>& at) { return at && at->hits.empty(); });
}

Status require_removable(Context& ctx, const NodeRef& parent, const Name& name, const AtName& at) {
    TRY(may_lose_name(parent));
    const Hit& winner = at.winner();
    const bool marked = ctx.tree.set().rules().marks_protection;
    if (at.node) TRY(may_change(at.node));
    // What lies below a copied-up hard link has the flags of before.
    if (marked && at.node && winner.branch != kUpperBranch) return {};
    if (sys::Protection::of(winner.st).any()) return Errno(EPERM);
    if (!marked || at.node || winner.branch != kUpperBranch) return {};
    const auto mark = TRY(marks::read_protection(at.layer(winner.branch).fd(), name, ctx.tree.set().marks()));
    return mark.any() ? Status(Errno(EPERM)) : Status();
}

Result<bool> copy_for_count(Context& ctx, const Request& request, const AtName& at) {
    const Hit& winner = at.winner();
    if (!ctx.tree.index() || !at.node || at.node->is_dir() || winner.st.stx_nlink < 2) return false;
    if (at.node->is_regular() && !ctx.tree.set().rules().make_metacopies) return false;
    if (ctx.tree.set().at(winner.branch).writable()) return false;
    if (LockedNode(*at.node)->winner != winner.branch) return false;
    TRY(ensure_writable(ctx.tree, at.node, request.copy_up_metadata()));
    return true;
}

bool needs_whiteout(Context& ctx, const std::vector<Hit>& hits) {
    return std::any_of(hits.begin(), hits.end(),
                       [&](const Hit& hit) { return !hit.whiteout && !ctx.tree.set().at(hit.branch).writable(); });
}

Status remove_on(Context& ctx, const Layer& layer, const Name& name) {
    auto st = sys::stat_at(layer.fd(), name);
    if (!st) return st.failed_with(ENOENT) ? Status{} : Status(st.error());
    auto removed = remove_object(ctx, layer, name, sys::is_dir(*st));
    return removed.failed_with(ENOENT) ? Status{} : removed;
}

Status require_hideable(Context& ctx, const Name& name, const AtName& at) {
    const BranchSet& set = ctx.tree.set();
    const bool hidden = needs_whiteout(ctx, at.hits);
    if (hidden && !set.uses_marks()) return Errno(EROFS);
    // What a search policy passed over and may not be modified would be seen, and a whiteout hides what is below it.
    if (std::any_of(at.hits.begin(), at.hits.end(), [&](const Hit& hit) {
            return hit.branch < at.winner().branch && !hit.whiteout && !set.at(hit.branch).writable();
        })) {
        return Errno(EROFS);
    }
    if (set.marks().whiteout != MarkRules::Whiteout::file || !hidden) return {};
    const marks::AufsName file(name);
    TRY(file.name());
    return {};
}

Result<Layer> prepare_hiding(Context& ctx, const NodeRef& parent, const AtName& at) {
    Errno last(EROFS);
    for (BranchIndex branch : TRY(ctx.tree.rank_branches(parent, {.above = at.winner().branch})).branches) {
        auto made = ensure_dir_on(ctx.tree, parent, branch);
        if (made) return Layer{branch, TRY(ctx.tree.dir_on(parent, branch))};
        last = made.error();
    }
    return last;
}

Status remove_everywhere(Context& ctx, const Name& name, const AtName& at, const Layer& hiding) {
    const BranchSet& set = ctx.tree.set();
    const Hit& winner = at.winner();
    const bool hidden = needs_whiteout(ctx, at.hits);
    // From the lowest up: the winner goes last, so that nothing below it is ever seen.
    for (std::size_t i = at.hits.size() - 1; i > 0; --i) {
        const Hit& hit = at.hits[i];
        if (hit.whiteout || !set.at(hit.branch).writable()) continue;
        TRY(remove_object(ctx, at.layer(hit.branch), name, sys::is_dir(hit.st)));
    }
    if (!set.at(winner.branch).writable()) {
        // A device needs no work directory, which a pool would have to make first.
        if (set.marks().whiteout == MarkRules::Whiteout::device) return marks::make_whiteout(hiding.fd(), name);
        return TRY(ctx.tree.workdir_of(hiding.branch))->put_whiteout(hiding.fd(), name);
    }
    if (!hidden) return remove_object(ctx, at.layer(winner.branch), name, sys::is_dir(winner.st));
    return TRY(ctx.tree.workdir_of(winner.branch))->take_away(at.layer(winner.branch).fd(), name, true);
}

Status require_all_parts(Context& ctx, const AtName& at) {
    const Errno missing = ctx.tree.not_found();
    return sys::is_dir(at.winner().st) && missing != ENOENT ? Status(missing) : Status();
}

Status require_empty(Context& ctx, const Name& name, const AtName& at) {
    Layers inside;
    if (at.node && !ctx.tree.dirs_have_places()) {
        inside = TRY(ctx.tree.layers_of(at.node));
    } else {
        const auto found = TRY(find_winner(ctx.tree.set(), at.layers, name));
        for (BranchIndex branch : found.layers) {
            auto dir = TRY(open_layer(ctx.tree.set(), at.layers, branch, name, found.detours));
            inside.push_back({branch, std::make_shared<const LayerDir>(std::move(dir))});
        }
    }
    Listing listing(ctx.tree.shared_set(), std::move(inside), {});
    ListedEntry entry;
    while (TRY(listing.next(entry))) {
        if (entry.name != "." && entry.name != "..") return Errno(ENOTEMPTY);
    }
    return {};
}

void pin_if_last(LockedNode& node, const NodeRef& parent, const Name& name, AtName& at) {
    const Link gone{parent, name.str()};
    for (const Link& link : node->links) {
        if (link != gone) return;
    }
    if (node->pinned.valid()) return;
    if (sys::key_of(at.winner().st) != node->key) return;  // a name not linked to the copy: see lookup
    node->pinned = std::move(at.object);
    if (at.content) node->rare.set(&Rare::detours, at.content);
}

void unpin(LockedNode& node) {
    if (!node->unlinked) node->pinned.reset();
}

void forget_name(Context& ctx, LockedNode& node, const NodeRef& parent, const Name& name, const AtName& at) {
    leave_place(ctx.tree, node, {parent, name.str()});
    std::erase(node->links, Link{parent, name.str()});
    if (!ctx.tree.set().at(at.winner().branch).writable()) {
        if (sys::key_of(at.winner().st) == node->key) {
            ++node->rare.make().removed_links;
        } else if (node->rare->hidden_links > 0) {
            --node->rare.make().hidden_links;
            keep_hidden_links(ctx.tree, node);
        }
    }
    end_index_if_last(ctx.tree, node);
    // `at` refers to the node as well, so this is never the last reference, which must not go under the lock.
    if (node->rare->hidden_links == 0 || node->links.empty()) node->rare.set(&Rare::kept, {});
    if (!node->links.empty()) return;
    node->rare.set(&Rare::remembered, {});
    node->unlinked = true;
    if (node.node().is_dir() || at.winner().st.stx_nlink <= 1)
        ctx.tree.shown_inodes().drop(node->key.dev, node->key.ino);
}

}  // namespace plyfs::ops

#include "ops/revive.h"

#include "node/link_cow.h"
#include "ops/handles.h"

namespace plyfs::ops {

Above above_of(Context& ctx, const NodeRef& parent, const Name& name) {
    ToldNames* names = ctx.tree.nodes().told();
    if (!names) return {};
    return {names, LockedNode(*parent)->face.id, name.view()};
}

void note_told(Context&, const NodeRef& node, const Above& above) {
    if (!above.names) return;
    NodeId id;
    sys::FileKey key;
    {
        LockedNode state(*node);
        id = state->face.id;
        key = state->key;
    }
    if (!LastingIds::is_lasting(id)) above.names->note(id, above.parent, above.name, key);
}

namespace {

// Not by the earlier ids of those that have several: they go on with what they had (node/faces).
void tell_of(const NodeRef& node, ToldNames& names) {
    NodeId id;
    sys::FileKey key;
    Link link;
    {
        LockedNode state(*node);
        id = state->face.id;
        if (state->links.empty() || state->face.lookups == 0 || LastingIds::is_lasting(id)) return;
        key = state->key;
        link = state->links[0];
    }
    names.note(id, LockedNode(*link.parent)->face.id, link.name, key);
}

}  // namespace

void tell_all(Context& ctx, ToldNames& names) {
    NodeTable& nodes = ctx.tree.nodes();
    for (std::uint64_t at = 0;;) {
        const auto some = nodes.some(at);
        if (some.empty()) break;
        for (const NodeRef& node : some) tell_of(node, names);
    }
    names.took_slot(nodes.last_slot());
}

void note_name_lost(Context& ctx, const NodeRef& node) {
    ToldNames* names = ctx.tree.nodes().told();
    if (!names) return;
    Link left;
    {
        LockedNode state(*node);
        if (state->links.empty()) return;
        left = state->links[0];
    }
    note_told(ctx, node, {names, LockedNode(*left.parent)->face.id, left.name});
}

void take_earlier_id(Context& ctx, LockedNode& node, const Above& above) {
    if (!above.names || !above.names->resumed() || node->told || LastingIds::is_lasting(node->face.id)) return;
    // In layers the key of a directory changes when it is copied up, and nobody else changes its place.
    const bool by_place = node.node().is_dir();
    const bool apart = ctx.tree.pool().files.link_cow;
    const auto id = above.names->take({above.parent, above.name, node->key, node->rare->original, by_place, apart});
    if (!id || !ctx.tree.nodes().take_lasting_id(node, *id)) return;
    ctx.tree.nodes().count_lookup(node, node->face);
    // Whether it ever was is not written down.
    node->passed_through = true;
    node->had_writer = ctx.tree.set().at(node->winner).writable();
}

namespace {

Result<NodeRef> revive_lasting(Context& ctx, NodeId id) {
    TRY(find_by_lasting_id(ctx, id));  // counts a lookup, as the kernel has made at least one
    NodeRef node = ctx.tree.nodes().find(id);
    if (!node) return Errno(ESTALE);
    return node;
}

}  // namespace

Result<NodeRef> revive(Context& ctx, NodeId id) {
    ToldNames* names = ctx.tree.nodes().told();
    if (!names || !names->resumed()) return Errno(ESTALE);
    if (LastingIds::is_lasting(id)) return revive_lasting(ctx, id);
    const auto place = names->place_of(id);
    if (!place) return Errno(ESTALE);
    auto entry = lookup(ctx, place->parent, TRY(Name::parse(place->name)));
    NodeRef node = ctx.tree.nodes().find(id);
    if (entry) forget(ctx, entry->id, 1);
    if (entry.failed_with(ENOENT) || (entry && !node)) return Errno(ESTALE);
    if (!entry) return entry.error();
    return node;
}

void revive_named(Context& ctx, NodeId parent, const Name& name) {
    ToldNames* names = ctx.tree.nodes().told();
    if (!names || !names->resumed() || !names->waits(parent, name.view())) return;
    if (auto entry = lookup(ctx, parent, name)) forget(ctx, entry->id, 1);
}

}  // namespace plyfs::ops

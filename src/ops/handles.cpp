#include "ops/handles.h"

#include <algorithm>

#include "sys/entry.h"

namespace plyfs::ops {
namespace {

// A file without a name that we know of: by its descriptor, until it is looked up. The kernel's reference is all that
// keeps it.
Result<Entry> enter_nameless(Context& ctx, LastingIds::Opened& opened, const sys::Stat& st, NodeId id) {
    bool made;
    const NodeRef node = ctx.tree.nodes().find_or_make(sys::key_of(st), made);
    {
        LockedNode state(*node);
        if (state->winner < 0) {
            state->key = sys::key_of(st);
            state->winner = opened.branch;
            state->shown_inode = ctx.tree.shown_inodes().of(ctx.tree.set(), state->key.dev, state->key.ino);
            state->pinned = std::move(opened.fd);
            take_identity(ctx, state, {id, opened.generation});
        }
    }
    return entry_of(ctx, node);
}

// A directory has its place, from the branch's root on.
Result<Entry> walk_to(Context& ctx, const LastingIds::Opened& opened) {
    const std::string root = TRY(sys::path_of(ctx.tree.set().at(opened.branch).root()));
    const std::string path = TRY(sys::path_of(opened.fd));
    const std::string prefix = root == "/" ? root : root + "/";
    if (!path.starts_with(prefix)) return Errno(ESTALE);
    Entry at{kRootId, {}, 0};
    for (std::size_t i = prefix.size(); i < path.size();) {
        const std::size_t end = std::min(path.find('/', i), path.size());
        const std::string part = path.substr(i, end - i);
        auto next = lookup(ctx, at.id, TRY(Name::parse(part)));
        if (at.id != kRootId) forget(ctx, at.id, 1);
        at = TRY(std::move(next));
        i = end + 1;
    }
    return at;
}

}  // namespace

Result<Entry> find_by_lasting_id(Context& ctx, NodeId id) {
    if (!ctx.tree.lasting_ids()) return Errno(ESTALE);
    auto opened = TRY(ctx.tree.lasting_ids()->open(id));
    const auto st = TRY(ctx.tree.set().at(opened.branch).stat_fd(opened.fd));
    const Entry entry = TRY(sys::is_dir(st) ? walk_to(ctx, opened) : enter_nameless(ctx, opened, st, id));
    if (entry.id == id) return entry;
    // The kernel knows it by another id meanwhile.
    forget(ctx, entry.id, 1);
    return Errno(ESTALE);
}

namespace {

// What nobody found under its name any more is not worth remembering: its number may lead to it still, or its branch
// came back as another device.
Result<Entry> find_known(Context& ctx, const NodeRef& node) {
    auto entry = entry_of(ctx, node);
    if (!entry.failed_with(ESTALE)) return entry;
    NodeRef remembered;  // dropped after the lock
    LockedNode state(*node);
    if (state->rare) std::swap(remembered, state->rare.make().remembered);
    return entry;
}

Result<Entry> find_by_id(Context& ctx, NodeId id) {
    if (const NodeRef node = ctx.tree.nodes().find_again(id)) {
        auto entry = find_known(ctx, node);
        if (!entry.failed_with(ESTALE) || !LastingIds::is_lasting(id)) return entry;
    }
    return find_by_lasting_id(ctx, id);
}

}  // namespace

std::optional<LastingIds::Identity> identity_of(Context& ctx, const NodeRef& node, const Layers& layers,
                                                const Name& name, const Resolved& found) {
    if (!ctx.tree.lasting_ids()) return std::nullopt;
    const bool told = LockedNode(*node)->told;
    if (told) return std::nullopt;
    for (const Layer& layer : layers) {
        if (layer.branch != found.branch) continue;
        return ctx.tree.lasting_ids()->find(layer.fd(), name, layer.branch, found.st);
    }
    return std::nullopt;
}

void take_identity(Context& ctx, LockedNode& node, const LastingIds::Identity& identity) {
    if (node->told || !ctx.tree.nodes().take_lasting_id(node, identity.id)) return;
    node->id_generation = identity.generation;
}

Result<Entry> lookup_by_id(Context& ctx, NodeId id, bool parent) {
    const Entry entry = TRY(find_by_id(ctx, id));
    if (!parent) return entry;
    const NodeRef node = ctx.tree.nodes().find(entry.id);
    forget(ctx, entry.id, 1);
    NodeRef above = node;  // of the root: itself
    {
        LockedNode state(*node);
        if (state->unlinked) return Errno(ESTALE);
        if (!state->links.empty()) above = state->links[0].parent;
    }
    return entry_of(ctx, above);
}

}  // namespace plyfs::ops

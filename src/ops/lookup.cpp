#include "ops/lookup.h"

#include <algorithm>

#include "base/log.h"
#include "node/inode_calc.h"
#include "node/link_cow.h"
#include "node/move.h"
#include "node/origin.h"
#include "node/source.h"
#include "ops/handles.h"
#include "ops/parts.h"
#include "ops/revive.h"
#include "overlay/layer_names.h"
#include "overlay/staging.h"

namespace plyfs::ops {
namespace {

// Stores through a map change a file's times without a request, and maps outlive the handle: while a file is open for
// writing the kernel asks each time, later it has to ask again soon. A retired id stands for data that lies elsewhere.
constexpr double kWriterTimeout = 1.0;

// How often a directory may get parts while it is looked up.
constexpr int kMostLooks = 16;

struct Entered {
    NodeRef node;
    bool missing_link = false;
};

void start_node(Context& ctx, LockedNode& node, const NodeRef& parent, const Name& name, const Resolved& found) {
    const auto key = sys::key_of(found.st);
    node->key = key;
    node->winner = found.branch;
    node->as_dir.set(&AsDirectory::layers, found.layers);
    node->rare.set(&Rare::detours, found.detours);
    node->protection = found.protection;
    node->content_branch = found.content_branch;
    if (!found.redirect.empty()) node->rare.set(&Rare::redirect, std::make_unique<std::string>(found.redirect));
    node->links = {Link{parent, name.str()}};
    take_place(ctx.tree, node, node->links[0]);
    if (node.node().is_dir()) {
        node->as_dir.set(&AsDirectory::parts_known, parts_known_now(ctx));
        if (found.incomplete) --node->as_dir.make().parts_known.news;  // looked for again as if there were news
    }
    node->shown_inode = ctx.tree.shown_inodes().of(ctx.tree.set(), key.dev, key.ino);
    const auto& original = found.original;
    node->marked = original.marked;
    if (original.shows) {
        node->shown_inode = ctx.tree.set().shown_inode(original.key.dev, original.key.ino);
        ctx.tree.shown_inodes().keep(key.dev, key.ino, node->shown_inode);
    }
    if (!original.index.empty()) {
        node->rare.set(&Rare::index, std::make_unique<std::string>(original.index));
        node->rare.set(&Rare::hidden_links, original.hidden);
        node->below_names = original.below;
    }
}

// Directories that finding it had to open need not be opened again to go into it.
void keep_opened(Context& ctx, const NodeRef& node, const Resolved& found) {
    for (const Layer& layer : found.opened) {
        if (layer.branch == found.branch) {
            const auto st = sys::stat_fd(layer.fd());
            if (!st || sys::key_of(*st) != sys::key_of(found.st)) return;  // exchanged for another meanwhile
        }
        ctx.tree.dirs().put(*node, layer.branch, layer.dir);
    }
}

// A node of its own for what a key led elsewhere from.
NodeRef make_instead(Context& ctx, const NodeRef& parent, const Name& name, const Resolved& found) {
    NodeRef fresh = ctx.tree.nodes().make(found.st.stx_mode & S_IFMT);
    LockedNode state(*fresh);
    start_node(ctx, state, parent, name, found);
    ctx.tree.nodes().add_key(state->key, *fresh);
    return fresh;
}

// The node that what was found leads to, by its key or by its place, locked; one that nobody knew yet is started as
// what was found.
struct Arrival {
    Arrival(Context& ctx, const NodeRef& parent, const Name& name, const Resolved& found) NO_THREAD_SAFETY_ANALYSIS
        : key(sys::key_of(found.st)),
          node(find_or_make(ctx, parent, name, found)),
          state(*node),
          fresh(state->winner < 0) {
        if (fresh) start_node(ctx, state, parent, name, found);
        if (fresh && by_place(ctx, found)) ctx.tree.nodes().add_key(key, *node);
    }
    static bool by_place(const Context& ctx, const Resolved& found) {
        return ctx.tree.dirs_have_places() && sys::is_dir(found.st);
    }
    static NodeRef find_or_make(Context& ctx, const NodeRef& parent, const Name& name, const Resolved& found) {
        bool made;
        const auto key = by_place(ctx, found) ? key_of_place(*parent, name.view()) : sys::key_of(found.st);
        return ctx.tree.nodes().find_or_make(key, made);
    }

    const sys::FileKey key;
    const NodeRef node;
    LockedNode state;
    const bool fresh;
};

// A part that is another directory by now than the one we hold open or have read: somebody removed or moved that one on
// the branch and put this one in its place.
void drop_replaced_parts(Context& ctx, LockedNode& dir, const Resolved& found) {
    for (std::size_t i = 0; i < found.identities.size(); ++i) {
        const BranchIndex branch = found.layers[i];
        const std::uint64_t identity = found.identities[i];
        if (dir->as_dir->layer_names && !dir->as_dir->layer_names->fits(branch, identity)) {
            dir->as_dir.set(&AsDirectory::layer_names, nullptr);
            ++dir->as_dir.make().layers_replaced;
        }
        const SharedDir held = ctx.tree.dirs().find(dir.node(), branch);
        if (held && held->identity() != identity) ctx.tree.dirs().drop(dir.node(), branch);
    }
}

// Whether the second look would find every part. A redirect leads to its part from anywhere. had: the parts of before
// the layers were chosen, which all of the parent's are: where those lack one of these it went with the parent's.
bool were_asked(const Layers& layers, const NodeState& dir, const std::vector<BranchIndex>& had) {
    return std::all_of(dir.as_dir->layers.begin(), dir.as_dir->layers.end(), [&](BranchIndex part) {
        const auto is_its = [&](const Layer& layer) { return layer.branch == part; };
        return detour_on(dir.rare->detours, part) || std::any_of(layers.begin(), layers.end(), is_its) ||
               std::find(had.begin(), had.end(), part) != had.end();
    });
}

// A directory has one place. Another one than we know means that it was moved on the branch, or that branches overlap:
// the old node keeps its id and goes stale, the place found now gets a new node.
// looks: how often the branches may be asked again for parts that were made since `layers` were chosen.
Result<Entered> enter_dir(Context& ctx, const NodeRef& parent, const Layers& layers, const Name& name,
                          const Resolved& found, int looks = kMostLooks, const std::vector<BranchIndex>& had = {}) {
    std::vector<BranchIndex> has;
    {
        Arrival at(ctx, parent, name, found);
        if (at.fresh) {
            keep_opened(ctx, at.node, found);
            return Entered{at.node};
        }
        LockedNode& state = at.state;
        const bool same = ctx.tree.dirs_have_places() ? has_its_part(state, found) : true;
        if (!same || state->unlinked || state->links.empty() || state->links[0] != Link{parent, name.str()}) {
            return Entered{make_instead(ctx, parent, name, found)};
        }
        drop_replaced_parts(ctx, state, found);
        if (state->as_dir->layers == found.layers && state->key == at.key) return Entered{at.node};
        // Since then a copy-up may have added more.
        if (were_asked(layers, *state, had)) {
            TRY(renew_parts(ctx, at.state, layers, name, found.other_name));
            return Entered{at.node};
        }
        has = state->as_dir->layers;
    }
    // A part on a branch that was left out: it had none when the names were asked, or the parent was not there.
    if (looks == 0) return Errno(ESTALE);
    return enter_dir(ctx, parent, TRY(ctx.tree.layers_of(parent)), name, found, looks - 1, has);
}

// Each name of a file with several is a node of its own, known by the name's key (node/link_cow).
Entered enter_name(Context& ctx, const NodeRef& parent, const Name& name, const Resolved& found) {
    const auto key = key_of_name(sys::key_of(found.st), *parent, name.view());
    const Link here{parent, name.str()};
    bool made;
    NodeRef node = ctx.tree.nodes().find_or_make(key, made);
    {
        LockedNode state(*node);
        if (state->winner >= 0 && state->links == std::vector{here} && state->key == sys::key_of(found.st)) {
            return {node};
        }
        made = state->winner < 0;
        if (made) start_node(ctx, state, parent, name, found);
        if (made) state->rare.set(&Rare::original, key);
    }
    if (made) return {node};
    // It had this name once.
    NodeRef fresh = ctx.tree.nodes().make(found.st.stx_mode & S_IFMT);
    LockedNode state(*fresh);
    start_node(ctx, state, parent, name, found);
    state->rare.set(&Rare::original, key);
    ctx.tree.nodes().add_key(key, *fresh);
    return {fresh};
}

// A file may have several names. The key of a copied-up original leads to the copy's node.
Result<Entered> enter_file(Context& ctx, const NodeRef& parent, const Name& name, const Resolved& found) {
    if (keeps_names_apart(ctx.tree, found.st, found.branch)) return enter_name(ctx, parent, name, found);
    Arrival at(ctx, parent, name, found);
    LockedNode& state = at.state;
    if (found.original.below && state->rare->original == sys::FileKey{}) {
        // The original's other names lead here without being looked for in the index.
        state->rare.set(&Rare::original, found.original.key);
        ctx.tree.nodes().add_key(state->rare->original, *at.node);
    }
    if (at.fresh) return Entered{at.node};
    const bool copied = state->key != at.key;
    if (copied && state->unlinked && !state->rare->index) {
        // The copy has no name left to link from; the original's other names are files of their own again.
        state->rare.set(&Rare::original, {});
        return Entered{make_instead(ctx, parent, name, found)};
    }
    Link here{parent, name.str()};
    const bool known = std::find(state->links.begin(), state->links.end(), here) != state->links.end();
    if (!known) {
        // One link and another name: it was renamed on the branch.
        if (!copied && !state->rare->index && found.st.stx_nlink == 1) state->links.clear();
        state->links.push_back(std::move(here));
        state->unlinked = false;
        if (!copied || state->rare->index) {
            state->pinned.reset();
            state->pinned_while_open = false;
        }
    }
    if (!state->rare->index) return Entered{at.node, copied};
    // Shown by the index; nothing is changed on a branch for being looked at.
    if (copied || found.original.below) state->below_names = true;
    return Entered{at.node};
}

}  // namespace

Result<NodeRef> node_of(Context& ctx, NodeId id) {
    NodeRef node = ctx.tree.nodes().find(id);
    if (!node) return revive(ctx, id);
    return node;
}

Attr show(Context& ctx, LockedNode& node, NodeId id, const sys::Stat& st) {
    Attr out{st, attr_timeout(ctx, node->winner, st)};
    out.st.stx_ino = node->shown_inode;
    ctx.tree.set().ids().show(out.st);
    if (node.node().is_dir()) {
        if (ctx.tree.layer_options().static_nlink) out.st.stx_nlink = 1;
        // With a part that is read-only most subdirectories lie in both: one link tells find(1) and others not to
        // count.
        const auto& layers = node->as_dir->layers;
        const bool counted = std::all_of(layers.begin(), layers.end(),
                                         [&](BranchIndex branch) { return ctx.tree.set().at(branch).writable(); });
        if (layers.size() > 1 && !counted) out.st.stx_nlink = 1;
        return out;
    }
    out.st.stx_nlink = st.stx_nlink + node->rare->hidden_links - std::min(node->rare->removed_links, st.stx_nlink);
    if (node->rare->index && out.st.stx_nlink > 0) --out.st.stx_nlink;  // the index has a name as well
    if (node->writers > 0) out.timeout = 0;
    if (node->had_writer) out.timeout = std::min(out.timeout, kWriterTimeout);
    if (id != node->face.id) out.timeout = 0;
    return out;
}

namespace {

std::uint64_t generation_of(const Context& ctx, LockedNode& state) {
    if (state->face.id == kRootId) return 0;  // the kernel has made it itself
    return LastingIds::is_lasting(state->face.id) ? state->id_generation : ctx.generation;
}

// One lookup counted, and whoever was sent back to walk again has arrived.
Entry answer(Context& ctx, LockedNode& state, const sys::Stat& st) {
    ctx.tree.nodes().count_lookup(state, state->face);
    if (state->face.opens) state->face.opens->told_stale.clear();
    for (auto& old : state->rare->retired) {
        if (old->opens) old->opens->told_stale.clear();
    }
    state->told = true;
    if (ctx.tree.pool().files.keep_nodes && !state->links.empty() && !state->rare->remembered) {
        state->rare.set(&Rare::remembered, state.reference());
    }
    const NodeId id = state->face.id;
    return Entry{id, show(ctx, state, id, st), entry_timeout(ctx, state->winner, st), generation_of(ctx, state)};
}

// A file that is shown as a link has the size of one.
Result<sys::Stat> stat_to_show(Context& ctx, const NodeRef& node) {
    auto st = TRY(ctx.tree.stat_object(node));
    if (S_ISLNK(st.stx_mode) && ctx.tree.pool().files.symlinkify) {
        st.stx_size = TRY(target_of(ctx, node)).size();
    }
    return st;
}

}  // namespace

Result<std::string> target_of(Context& ctx, const NodeRef& node) {
    const auto object = TRY(ctx.tree.find_object(node));
    const bool may_be_file = ctx.tree.pool().files.symlinkify;
    if (!may_be_file || !sys::is_regular(TRY(sys::stat_fd(object.fd)))) return read_target(object.fd);
    return ctx.tree.set().at(object.branch).path() + TRY(ctx.tree.path_of(node));
}

Result<Entry> entry_of(Context& ctx, const NodeRef& node) {
    const auto st = TRY(stat_to_show(ctx, node));
    LockedNode state(*node);
    return answer(ctx, state, st);
}

namespace {

// Of a directory that has other parts than when it was first shown.
bool keeps_number(const Context& ctx, LockedNode& node) {
    return node.node().is_dir() && node->told && !inode_is_of_path(ctx.tree.pool().files.inodes, true);
}

}  // namespace

namespace {

Result<Entry> enter_and_answer(Context& ctx, const NodeRef& parent, const Layers& layers, const Name& name,
                               const Resolved& resolved, const Above& above, NodeRef& node) {
    auto entered = sys::is_dir(resolved.st) ? TRY(enter_dir(ctx, parent, layers, name, resolved))
                                            : TRY(enter_file(ctx, parent, name, resolved));
    if (entered.missing_link) {
        auto added = add_missing_link(ctx.tree, entered.node, parent, name);
        // Without room or right to write the name still shows the file; it is added at the next lookup.
        if (!added) log::debug("a name of a copied-up file was not added: {}", log::errno_text(added.error().value()));
    }
    node = entered.node;
    const auto number =
        ctx.tree.calculated_inode(parent, name.view(), resolved.branch, resolved.st.stx_ino, sys::is_dir(resolved.st));
    const auto identity = identity_of(ctx, entered.node, layers, name, resolved);
    {
        LockedNode state(*entered.node);
        if (identity && state->key == sys::key_of(resolved.st)) take_identity(ctx, state, *identity);
        take_earlier_id(ctx, state, above);
        if (number && !keeps_number(ctx, state)) state->shown_inode = *number;
        const bool sized = !S_ISLNK(resolved.st.stx_mode) || !ctx.tree.pool().files.symlinkify;
        if (sized && state->key == sys::key_of(resolved.st)) return answer(ctx, state, resolved.st);
    }
    return entry_of(ctx, entered.node);
}

}  // namespace

Result<Entry> enter(Context& ctx, const NodeRef& parent, const Layers& layers, const Name& name,
                    const Resolved& resolved) {
    const Above above = above_of(ctx, parent, name);
    NodeRef node;
    auto entry = enter_and_answer(ctx, parent, layers, name, resolved, above, node);
    if (entry) note_told(ctx, node, above);
    return entry;
}

namespace {

// How many layers were asked for nothing whose names could be known.
std::uint32_t count_vain(Context& ctx, const Layers& layers, const Result<Resolved>& found) {
    std::uint32_t vain = 0;
    for (const Layer& layer : layers) {
        if (found && layer.branch >= found->branch && found->layers.empty()) break;
        if (!ctx.tree.names_means()->may_know(ctx.tree.set(), layer.branch)) continue;
        const bool here =
            found && std::find(found->layers.begin(), found->layers.end(), layer.branch) != found->layers.end();
        if (!here) ++vain;
    }
    return vain;
}

// Of directories that got parts on other branches as well. Where names are known it was heard of when they were asked.
Result<Tree::Candidates> choose_layers(Context& ctx, const NodeRef& parent, const Name& name) {
    auto candidates = TRY(ctx.tree.candidates_for(parent, name));
    if (candidates.all) ctx.tree.hear_names();
    return hear_of_parts(ctx, parent) ? ctx.tree.candidates_for(parent, name) : std::move(candidates);
}

// For a directory that is known nobody waits for branches that are late and had no part of it: what those without any
// say, or all if that is nothing.
Result<Resolved> find_promptly(Context& ctx, const NodeRef& parent, const Layers& layers, const Name& name) {
    const BranchSet& set = ctx.tree.set();
    const NodeRef dir = set.any_is_late() ? find_at_place(ctx.tree, parent, name.view()) : NodeRef();
    if (!dir) return find_winner(set, layers, name);
    const std::vector<BranchIndex> parts = LockedNode(*dir)->as_dir->layers;
    Layers asked = layers;
    const auto spared = std::erase_if(asked, [&](const Layer& layer) {
        return set.at(layer.branch).is_late() && std::find(parts.begin(), parts.end(), layer.branch) == parts.end();
    });
    auto found = find_winner(set, asked, name);
    return found || spared == 0 ? std::move(found) : find_winner(set, layers, name);
}

Result<Entry> lookup_once(Context& ctx, const NodeRef& parent, const Name& name) {
    auto [layers, all] = TRY(choose_layers(ctx, parent, name));
    auto found = find_promptly(ctx, parent, layers, name);
    if (all) {
        if (const auto vain = count_vain(ctx, layers, found)) ctx.tree.note_vain(parent, layers, vain);
    } else if (found ? found->other_name : !found.failed_with(ENOENT)) {
        layers = TRY(ctx.tree.layers_of(parent));
        found = find_winner(ctx.tree.set(), layers, name);
    }
    // Others may change the branches: what looks empty may be a directory that is no longer the one of its name.
    if (found.failed_with(ENOENT) && !ctx.tree.set().rules().fixed && ctx.tree.drop_removed(parent, layers)) {
        layers = TRY(ctx.tree.layers_of(parent));
        found = find_winner(ctx.tree.set(), layers, name);
    }
    if (found.failed_with(ENOENT)) return ctx.tree.not_found();
    auto resolved = TRY(std::move(found));
    TRY(follow_origin(ctx.tree, parent, layers, name, resolved));
    return enter(ctx, parent, layers, name, resolved);
}

}  // namespace

Result<Entry> lookup(Context& ctx, NodeId parent_id, const Name& name) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    if (ctx.tree.reserves(*parent, name)) return Errno(ENOENT);
    return find_steadily(
        ctx.tree, [&] { return lookup_once(ctx, parent, name); },
        [](const Result<Entry>& entry) { return entry.failed_with(ENOENT); });
}

void forget(Context& ctx, NodeId id, std::uint64_t count) {
    const NodeRef node = ctx.tree.nodes().find(id);
    if (!node && ctx.tree.nodes().told()) ctx.tree.nodes().told()->drop(id);
    if (!node || id == kRootId) return;
    NodeRef given_back;
    LockedNode state(*node);
    if (Face* face = state->face_of(id)) given_back = ctx.tree.nodes().forget(state, *face, count);
}

namespace {

// What those who have an earlier id of it open go on reading: another file than the node's by now.
std::shared_ptr<Backing> kept_original(LockedNode& node, NodeId id) {
    if (id == node->face.id) return nullptr;
    const Face* face = node->face_of(id);
    if (!face || !face->opens || !face->opens->backing) return nullptr;
    const auto& backing = face->opens->backing;
    return backing->generation() != node.node().data_generation() && backing->path().valid() ? backing : nullptr;
}

}  // namespace

Result<Attr> getattr(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    const auto st = TRY(stat_to_show(ctx, node));
    Attr out;
    std::shared_ptr<Backing> kept;
    {
        LockedNode state(*node);
        out = show(ctx, state, id, st);
        kept = kept_original(state, id);
    }
    // Size and bytes belong together: who maps as much as he is told there is would be killed for what is not there.
    const auto own = kept ? sys::stat_fd(kept->path()) : Errno(ENOENT);
    if (own) {
        out.st.stx_size = own->stx_size;
        out.st.stx_blocks = own->stx_blocks;
    }
    return out;
}

}  // namespace plyfs::ops

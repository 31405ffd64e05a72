#include "node/origin.h"

#include "base/insist.h"
#include "base/log.h"
#include "node/copy_up.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

const Layer* layer_on(const Layers& layers, BranchIndex branch) {
    for (const Layer& layer : layers) {
        if (layer.branch == branch) return &layer;
    }
    return nullptr;
}

// A name of an original of which another name was copied up: the copy answers.
Status find_copy(Tree& tree, const Layers& layers, const Name& name, Resolved& found) {
    Index* index = tree.index();
    if (!index || index->empty() || found.st.stx_nlink < 2) return {};
    const auto key = sys::key_of(found.st);
    if (tree.nodes().find(key)) return {};
    const Layer* layer = layer_on(layers, found.branch);
    if (!layer || tree.set().at(found.branch).device() != key.dev) return {};
    const std::string text = origin::index_name(tree.origins()->of(layer->fd(), name, found.branch));
    if (!index->contains(text)) return {};
    const Name entry = TRY(Name::parse(text));
    auto st = tree.set().at(kUpperBranch).stat_at(index->dir(), entry);
    if (st.failed_with(ENOENT)) return {};
    if (!st) return st.error();
    if ((st->stx_mode ^ found.st.stx_mode) & S_IFMT) return Errno(EIO);
    found.original = {key, text, index->hidden_links(entry, *st), true, true, true};
    marks::Found has;
    if (sys::is_regular(*st)) has = TRY(marks::find_marks(index->dir(), entry, tree.set().marks()));
    found.protection = {};
    if (has.protection && tree.set().rules().marks_protection) {
        found.protection = TRY(marks::read_protection(index->dir(), entry, tree.set().marks()));
    }
    if (has.metacopy) {
        st->stx_blocks = found.st.stx_blocks;
        if (found.content_branch < 0) found.content_branch = found.branch;
        found.redirect = TRY(marks::read_redirect(index->dir(), entry, tree.set().marks()));
    } else {
        found.content_branch = -1;
        found.detours = nullptr;
    }
    found.branch = kUpperBranch;
    found.st = *st;
    return {};
}

// Without the right to open by handle there is still the object of the same name, if the copy was not renamed.
std::optional<sys::Stat> find_original(Tree& tree, const Layers& layers, const Name& name,
                                       const origin::Bytes& origin) {
    if (auto st = tree.origins()->find(origin)) return st;
    for (const Layer& layer : layers) {
        if (layer.branch == kUpperBranch) continue;
        if (tree.origins()->of(layer.fd(), name, layer.branch) != origin) continue;
        if (auto st = tree.set().at(layer.branch).stat_at(layer.fd(), name)) return *st;
    }
    return std::nullopt;
}

// What the mark of an object in the upper directory says.
Status find_marked(Tree& tree, const Layers& layers, const Name& name, Resolved& found) {
    const Layer* layer = layer_on(layers, kUpperBranch);
    if (!layer) return {};
    const auto origin = tree.origins()->read(layer->fd(), name);
    if (origin.failed_with(ENODATA)) return {};
    if (!origin) return origin.error();
    found.original.marked = true;
    if (origin->empty()) return {};
    Index* index = tree.index();
    if (index && !index->empty() && found.st.stx_nlink > 1) {
        const std::string text = origin::index_name(*origin);
        if (index->contains(text)) {
            const Name entry = TRY(Name::parse(text));
            auto st = tree.set().at(kUpperBranch).stat_at(index->dir(), entry);
            // Another object there: the index is not about this one.
            if (st && sys::key_of(*st) == sys::key_of(found.st)) {
                found.original.index = text;
                found.original.hidden = index->hidden_links(entry, *st);
            }
        }
    }
    const auto st = find_original(tree, layers, name, *origin);
    if (!st || ((st->stx_mode ^ found.st.stx_mode) & S_IFMT)) return {};
    // Without the index the names of one original may be copied to several files, which need numbers of their own.
    if (st->stx_nlink > 1 && found.original.index.empty()) return {};
    found.original.key = sys::key_of(*st);
    found.original.shows = true;
    return {};
}

}  // namespace

Status follow_origin(Tree& tree, const NodeRef& parent, const Layers& layers, const Name& name, Resolved& found) {
    if (!tree.origins() || sys::is_dir(found.st)) return {};
    if (found.branch != kUpperBranch) return find_copy(tree, layers, name, found);
    if (!TRY(is_impure(tree, parent))) return {};
    if (tree.nodes().find(sys::key_of(found.st))) return {};
    return find_marked(tree, layers, name, found);
}

Result<std::uint64_t> listed_inode(Tree& tree, const NodeRef& parent, const Layers& layers, const Name& name,
                                   const sys::FileKey& own) {
    const auto shown_itself = [&] { return tree.shown_inodes().of(tree.set(), own.dev, own.ino); };
    if (!S_ISDIR(own.type)) {
        if (tree.shown_inodes().has(own.dev, own.ino)) return shown_itself();
        const Layer* layer = layer_on(layers, kUpperBranch);
        const auto origin = tree.origins()->read(layer->fd(), name);
        if (!origin || origin->empty()) return shown_itself();
    }
    auto found = TRY(find_winner(tree.set(), layers, name));
    TRY(follow_origin(tree, parent, layers, name, found));
    if (!found.original.shows) return shown_itself();
    return tree.set().shown_inode(found.original.key.dev, found.original.key.ino);
}

Result<bool> is_impure(Tree& tree, const NodeRef& dir) {
    {
        LockedNode state(*dir);
        if (state->as_dir->impure != Impure::unknown) return state->as_dir->impure == Impure::yes;
    }
    const auto upper = tree.dir_on(dir, kUpperBranch);
    const bool impure = upper && TRY(tree.origins()->is_impure(**upper));
    LockedNode state(*dir);
    if (state->as_dir->impure == Impure::unknown)
        state->as_dir.set(&AsDirectory::impure, impure ? Impure::yes : Impure::no);
    return state->as_dir->impure == Impure::yes;
}

Status make_impure(Tree& tree, const NodeRef& dir) {
    if (!tree.origins()) return {};
    if (LockedNode(*dir)->as_dir->impure == Impure::yes) return {};
    const auto upper = TRY(tree.dir_on(dir, kUpperBranch));
    if (!TRY(tree.origins()->is_impure(*upper))) TRY(tree.origins()->make_impure(*upper));
    LockedNode(*dir)->as_dir.set(&AsDirectory::impure, Impure::yes);
    return {};
}

void keep_hidden_links(Tree& tree, LockedNode& node) {
    if (!node->rare->index) return;
    const auto keep = [&]() -> Status {
        const auto object = TRY(sys::open_path(tree.index()->dir(), *Name::parse(*node->rare->index)));
        return tree.index()->keep_hidden_links(object, node->rare->hidden_links);
    };
    // The names have changed already, so this can not be an error of who changed them. One too many is harmless, one
    // too few would end the index of a name that still lies below: so it is not written before either.
    if (insist(keep)) return;
    log::warn("index: the link count of {} was not kept, the next mount shows one too many", *node->rare->index);
}

void end_index_if_last(Tree& tree, LockedNode& node) {
    if (!node->rare->index || node->rare->hidden_links > 0) return;
    const Name entry = *Name::parse(*node->rare->index);
    auto object = sys::open_path(tree.index()->dir(), entry);
    auto st = object ? tree.set().at(kUpperBranch).stat_fd(*object) : object.error();
    if (!st || st->stx_nlink > 1) return;
    if (sys::key_of(*st) == node->key) {
        if (!node->pinned.valid()) node->pinned = std::move(*object);
        tree.shown_inodes().drop(node->key.dev, node->key.ino);
        if (!tree.index()->remove(*node->rare->index)) log::warn("index: {} stays", *node->rare->index);
    }
    node->rare.set(&Rare::index, nullptr);
}

void add_names_below(Tree& tree, const NodeRef& node) {
    std::vector<Link> links;
    {
        LockedNode state(*node);
        if (!state->rare->index || !state->below_names) return;
        state->below_names = false;
        links = state->links;
    }
    for (const Link& link : links) {
        auto name = Name::parse(link.name);
        auto added = name ? add_missing_link(tree, node, link.parent, *name) : name.error();
        if (!added) log::debug("the name {} was not copied up: {}", link.name, log::errno_text(added.error().value()));
    }
}

}  // namespace plyfs

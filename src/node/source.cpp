#include "node/source.h"

#include <algorithm>

#include "node/lasting_ids.h"
#include "node/told_names.h"

namespace plyfs {
namespace {

ToldNames* told_of(Tree& tree, LockedNode& node) {
    return LastingIds::is_lasting(node->face.id) ? nullptr : tree.nodes().told();
}

}  // namespace

void set_key(Tree& tree, LockedNode& node, const sys::FileKey& key) {
    node->key = key;
    if (ToldNames* told = told_of(tree, node)) told->set_key(node->face.id, key);
}

void expect_key(Tree& tree, LockedNode& node, const sys::FileKey& key) {
    if (ToldNames* told = told_of(tree, node)) told->expect_key(node->face.id, key);
}

void leave_key(Tree& tree, LockedNode& node) {
    if (node->key != node->rare->original) tree.nodes().drop_key(node->key, node.node());
}

void take_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch) {
    if (node->rare->original == sys::FileKey{}) {
        node->rare.set(&Rare::original, node->key);
    } else {
        leave_key(tree, node);
    }
    tree.shown_inodes().keep(key.dev, key.ino, node->shown_inode);
    set_key(tree, node, key);
    node->winner = branch;
    node.next_generation();
}

void take_parts(Tree& tree, LockedNode& dir, const sys::FileKey& key, std::vector<BranchIndex> layers) {
    for (const BranchIndex had : dir->as_dir->layers) {
        if (std::find(layers.begin(), layers.end(), had) == layers.end()) tree.dirs().drop(dir.node(), had);
    }
    const bool another = dir->winner != layers.front() || dir->key != key;
    if (dir->key != key) {
        leave_key(tree, dir);
        tree.nodes().add_key(key, dir.node());
        if (tree.dirs_have_places()) tree.shown_inodes().keep(key.dev, key.ino, dir->shown_inode);
        set_key(tree, dir, key);
    }
    dir->winner = layers.front();
    dir->as_dir.set(&AsDirectory::layers, std::move(layers));
    dir->as_dir.set(&AsDirectory::layer_names, nullptr);
    ++dir->as_dir.make().layers_replaced;
    if (another) dir.next_generation();
    tree.parts_changed();
}

void take_place(Tree& tree, LockedNode& dir, const Link& link) {
    if (dir.node().is_dir() && tree.dirs_have_places()) {
        tree.nodes().add_key(key_of_place(*link.parent, link.name), dir.node());
    }
}

void leave_place(Tree& tree, LockedNode& dir, const Link& link) {
    if (dir.node().is_dir() && tree.dirs_have_places()) {
        tree.nodes().drop_key(key_of_place(*link.parent, link.name), dir.node());
    }
}

NodeRef find_at_place(Tree& tree, const NodeRef& parent, std::string_view name) {
    if (!tree.dirs_have_places()) return {};
    NodeRef dir = tree.nodes().find(key_of_place(*parent, name));
    if (!dir) return {};
    LockedNode state(*dir);
    const bool here = !state->links.empty() && state->links[0].parent == parent && state->links[0].name == name;
    return here ? dir : NodeRef();
}

void forget_original(Tree& tree, LockedNode& node) {
    if (node->rare->original != sys::FileKey{}) tree.nodes().drop_key(node->rare->original, node.node());
    node->rare.set(&Rare::original, {});
}

void move_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch) {
    // With a birth time it is nobody else's key, and who has just met the object by its name arrives here.
    if (node->rare->original == sys::FileKey{} && node->key.birth != 0) {
        node->rare.set(&Rare::original, node->key);
    } else {
        tree.nodes().drop_key(node->key, node.node());
    }
    tree.shown_inodes().move(node->key, key, node->shown_inode);
    set_key(tree, node, key);
    node->winner = branch;
    node.next_generation();
    node.next_data_generation();
}

void take_content(LockedNode& node, bool whole) {
    node->content_branch = -1;
    node.next_data_generation();
    node->changed_since_copy = !whole;
}

}  // namespace plyfs

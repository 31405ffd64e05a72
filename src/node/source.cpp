#include "node/source.h"

#include <algorithm>

namespace plyfs {

void leave_key(Tree& tree, LockedNode& node) {
    if (node->key == node->original) return;
    if (!node.node().is_dir() || !tree.set().several_writable()) return tree.nodes().drop_key(node->key, node.node());
    if (!node->older_keys) node->older_keys = std::make_unique<std::vector<sys::FileKey>>();
    auto& keys = *node->older_keys;
    if (std::find(keys.begin(), keys.end(), node->key) == keys.end()) keys.push_back(node->key);
}

void take_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch) {
    if (node->original == sys::FileKey{}) {
        node->original = node->key;
    } else {
        leave_key(tree, node);
    }
    tree.shown_inodes().keep(key.dev, key.ino, node->shown_inode);
    node->key = key;
    node->winner = branch;
    node.next_generation();
}

void forget_original(Tree& tree, LockedNode& node) {
    if (node->original != sys::FileKey{}) tree.nodes().drop_key(node->original, node.node());
    node->original = {};
}

void move_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch) {
    // With a birth time it is nobody else's key, and who has just met the object by its name arrives here.
    if (node->original == sys::FileKey{} && node->key.birth != 0) {
        node->original = node->key;
    } else {
        tree.nodes().drop_key(node->key, node.node());
    }
    tree.shown_inodes().move(node->key, key, node->shown_inode);
    node->key = key;
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

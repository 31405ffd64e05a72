// A node's source: the object that answers for it and, of a file, the bytes. What the node says of itself once either
// is another one, in one place.
#pragma once

#include "node/tree.h"

namespace plyfs {

// The node's key is about to be another one.
void leave_key(Tree& tree, LockedNode& node);
// An object with this key is about to be published under its names: whichever of the two is there when this process
// dies is the node's to the next one.
void expect_key(Tree& tree, LockedNode& node, const sys::FileKey& key);
void set_key(Tree& tree, LockedNode& node, const sys::FileKey& key);
// The node's source becomes the object on `branch` that has this key, which leads to the node already.
void take_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch);
// A directory has these parts from now on, the first of them with this key. It goes on showing the number it has.
void take_parts(Tree& tree, LockedNode& dir, const sys::FileKey& key, std::vector<BranchIndex> layers);
// The directory is at this place of the union, and is there no more; for every change of its name.
void take_place(Tree& tree, LockedNode& dir, const Link& link);
void leave_place(Tree& tree, LockedNode& dir, const Link& link);
// The directory that is at a place, as far as it is known; always null where Tree::dirs_have_places() is false.
NodeRef find_at_place(Tree& tree, const NodeRef& parent, std::string_view name);
// What was the source is no more: its key leads nowhere.
void forget_original(Tree& tree, LockedNode& node);
// The same for an object that moved there with its content and is gone where it was: its number is still the node's,
// and the inode it had may soon be another file's.
void move_source(Tree& tree, LockedNode& node, const sys::FileKey& key, BranchIndex branch);
// The winner has the content now, from here on another file than the readers of the original have. whole: all of it.
void take_content(LockedNode& node, bool whole);

}  // namespace plyfs

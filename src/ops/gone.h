// What removing and renaming share: everything that lies at a name, taking it away branch by branch, and telling the
// node.
#pragma once

#include <vector>

#include "ops/context.h"

namespace plyfs::ops {

const Layer& layer_of(const Layers& layers, BranchIndex branch);

struct AtName {
    Layers layers;                   // of the parent
    std::vector<Hit> hits;           // winner first; a whiteout, if any, last
    NodeRef node;                    // of the winner, if the kernel knows it
    std::uint32_t generation = 0;    // of the node when this was seen
    std::vector<BranchIndex> parts;  // of a directory known by its place: the node's, before the branches were asked
    Detours content;                 // where the node's content stays if this is its last name and it is a metacopy
    UniqueFd object;                 // O_PATH of the winner, if it was asked for

    const Hit& winner() const { return hits[0]; }
    const Layer& layer(BranchIndex branch) const { return layer_of(layers, branch); }
};

// Under the node's lock: it is what it was when the branches were asked, and a directory has no parts more.
bool is_as_seen(const AtName& at, LockedNode& node);

enum class Open { nothing, winner };

// Nothing seen there: no hits, or a whiteout as the only one.
Result<AtName> look_at(Context& ctx, const NodeRef& parent, const Name& name, Open open);
inline bool is_seen(const AtName& at) {
    return !at.hits.empty() && !at.hits[0].whiteout;
}

// EPERM for an object that is append-only or immutable, or lies in such a directory. Its own file system says so itself
// where its inode has the flag and the name is removed from it; a whiteout over a read-only branch would not ask.
Status require_removable(Context& ctx, const NodeRef& parent, const Name& name, const AtName& at);

// The link count of a read-only file that loses a name is kept on its copy in the index, for the names that stay: made
// first, where that moves no content. True when it was made: what lies at the name is another object now.
Result<bool> copy_for_count(Context& ctx, const Request& request, const AtName& at);

// Whether something that may not be modified lies at the name, so that removing the rest would reveal it.
bool needs_whiteout(Context& ctx, const std::vector<Hit>& hits);

// EROFS when what can not be removed is not hidden by a whiteout either, ENAMETOOLONG when the form of one has no room
// for the name: before anything is changed.
Status require_hideable(Context& ctx, const Name& name, const AtName& at);

// Where the whiteout for a winner on a read-only branch will lie, its parent directories made. Call without locks.
Result<Layer> prepare_hiding(Context& ctx, const NodeRef& parent, const AtName& at);

// Removes everything at the name from all branches that may be modified, the winner last and in one rename with the
// whiteout, if one is needed. hiding: from prepare_hiding, when the winner may not be modified.
Status remove_everywhere(Context& ctx, const Name& name, const AtName& at, const Layer& hiding);

// EIO where a directory may have a part on a branch that is missing, and that matters: it can not be removed or renamed
// as a whole.
Status require_all_parts(Context& ctx, const AtName& at);

// ENOTEMPTY unless the union shows nothing in the directory at the name.
Status require_empty(Context& ctx, const Name& name, const AtName& at);

// One copy on one branch; nothing there is as good.
Status remove_on(Context& ctx, const Layer& layer, const Name& name);

// The node lives on without this name; without any, by the descriptor in `at`. Pinned before the name is removed, and
// unpinned when it was not; all under the lock. The kernel may refer to it though nobody has it open: by O_PATH
// descriptors and working directories.
void pin_if_last(LockedNode& node, const NodeRef& parent, const Name& name, AtName& at);
void unpin(LockedNode& node);
void forget_name(Context& ctx, LockedNode& node, const NodeRef& parent, const Name& name, const AtName& at);

}  // namespace plyfs::ops

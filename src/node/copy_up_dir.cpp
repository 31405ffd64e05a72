#include <fcntl.h>
#include <linux/fs.h>

#include <algorithm>

#include "base/defer.h"
#include "node/copy_up.h"
#include "node/kept_times.h"
#include "node/origin.h"
#include "node/source.h"
#include "overlay/layer_names.h"
#include "overlay/staging.h"
#include "sys/inode_ioctl.h"
#include "sys/open.h"
#include "sys/protection.h"

namespace plyfs {
namespace {

// What the flags of a pool's directory forbid holds in all its parts, where the branches' file systems see to it: a new
// part may not be a way around. What read-only parts have says the node (NodeState::protection).
sys::Protection protection_of_parts(const Tree& tree, const Located& original) {
    const bool by_the_inode = !tree.set().rules().marks_protection && tree.set().at(original.branch).writable();
    return by_the_inode ? sys::Protection::of(original.st) : sys::Protection{};
}

// Under its name: before, it could not get that.
Status make_append_only(BorrowedFd dir) {
    const auto fd = TRY(sys::reopen(dir, O_RDONLY | O_DIRECTORY));
    return sys::ioctl_set_flags(fd, TRY(sys::ioctl_get_flags(fd)) | FS_APPEND_FL);
}

bool has_part(LockedNode& dir, BranchIndex branch) {
    return std::find(dir->as_dir->layers.begin(), dir->as_dir->layers.end(), branch) != dir->as_dir->layers.end();
}

struct StagedPart {
    Staged dir;
    bool append_only = false;
};

// The part as the directory is now, in the work directory.
Result<StagedPart> stage_part(Tree& tree, const NodeRef& dir, const NodeRef& parent, BranchIndex branch) {
    auto original = TRY(tree.find_object(dir));
    const auto shared = protection_of_parts(tree, original);
    if (shared.immutable) return Errno(EPERM);  // it can not gain a name, wherever that would lie
    WorkDir* work = TRY(tree.workdir_of(branch));
    const Carry carry{tree.set().at(original.branch).ownership(), tree.set().at(branch).ownership(), tree.set().ids()};
    auto staged = TRY(stage_directory(*work, original.fd, original.st, false, &carry));
    if (tree.set().rules().marks_protection) TRY(mark_protection(*work, staged.fd(), original.st));
    if (tree.origins()) {
        origin::Bytes origin;
        if (tree.set().at(original.branch).device() == sys::device_of(original.st)) {
            origin = tree.origins()->of(original.fd, original.branch);
        }
        TRY(tree.origins()->write(staged.fd(), origin));
        TRY(make_impure(tree, parent));
    }
    return StagedPart{std::move(staged), shared.append_only};
}

// A rename of this directory holds it: the name is right until we are done.
Status publish_part(Tree& tree, LockedNode& state, const NodeRef& dir, BranchIndex branch, StagedPart& staged,
                    const SharedDir& parent_dir) {
    auto& layers = state->as_dir.make().layers;
    const Name name = TRY(Name::parse(state->links[0].name));
    KeptTimes keep(parent_dir);
    const bool wins = layers.empty() || branch < layers.front();
    auto key = sys::key_of(TRY(sys::stat_fd(staged.dir.fd())));
    // Who meets it by its name from now on comes here by its key, and waits for the lock.
    if (wins) tree.nodes().add_key(key, *dir);
    Defer not_ours([&] {
        if (wins) tree.nodes().drop_key(key, *dir);
    });
    auto published = staged.dir.publish(*parent_dir, name);
    if (published.failed_with(EEXIST)) {
        // Somebody made it on the branch since we looked: as good, if it is a directory.
        const auto theirs = sys::key_of(TRY(sys::stat_fd(TRY(sys::open_dir_path(*parent_dir, name)))));
        if (wins) {
            tree.nodes().drop_key(key, *dir);
            tree.nodes().add_key(theirs, *dir);
        }
        key = theirs;
    } else if (!published) {
        return published;
    }
    not_ours.cancel();
    layers.insert(std::upper_bound(layers.begin(), layers.end(), branch), branch);
    if (tree.names_means()->may_know(tree.set(), branch))
        state->as_dir.set(&AsDirectory::layer_names, nullptr);  // read with it the next time
    if (wins) take_source(tree, state, key, branch);
    state->marked = tree.origins() != nullptr;
    return published && staged.append_only ? make_append_only(staged.dir.fd()) : Status();
}

}  // namespace

Status ensure_dir_on(Tree& tree, const NodeRef& dir, BranchIndex branch) {
    for (;;) {
        NodeRef parent;
        std::uint32_t said = 0;
        {
            LockedNode state(*dir);
            if (has_part(state, branch)) return {};
            if (state->links.empty()) return Errno(ENOENT);
            parent = state->links[0].parent;
            said = state->as_dir->said;
        }
        TRY(ensure_dir_on(tree, parent, branch));
        auto parent_dir = TRY(tree.dir_on(parent, branch));
        auto staged = TRY(stage_part(tree, dir, parent, branch));
        LockedNode state(*dir);
        if (has_part(state, branch)) return {};
        if (state->links.empty() || state->links[0].parent != parent) return Errno(ESTALE);
        // Changed since we looked: whoever did that did not find this part among the others.
        if (state->as_dir->said != said) continue;
        return publish_part(tree, state, dir, branch, staged, parent_dir);
    }
}

Status ensure_dir_writable(Tree& tree, const NodeRef& dir) {
    const BranchIndex winner = LockedNode(*dir)->winner;
    if (tree.set().at(winner).writable()) return {};
    if (!tree.pool().copy_up) return Errno(EROFS);
    Errno last(EROFS);
    for (BranchIndex branch : TRY(tree.rank_branches(dir, {.above = winner})).branches) {
        auto made = ensure_dir_on(tree, dir, branch);
        if (made) return made;
        last = made.error();
    }
    return last;
}

}  // namespace plyfs

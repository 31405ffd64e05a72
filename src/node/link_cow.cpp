#include "node/link_cow.h"

#include <algorithm>

#include "base/defer.h"
#include "base/log.h"
#include "node/changing.h"
#include "node/kept_times.h"
#include "node/source.h"
#include "overlay/staging.h"

namespace plyfs {
namespace {

// The only name, or none for a file without: its turn to be copied is ours then, and nobody changes it.
Result<Link> take_name(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    LockedNode state(*node);
    TRY(keep_changes_out(tree, state, request));
    Defer give_up([&] { state->moving = false; });
    TRY(wait_until_copied(tree, state, request));
    if (state->unlinked) return Link{};
    if (state->links.size() != 1) return Errno(ESTALE);
    give_up.cancel();
    state->copying = true;
    return state->links[0];
}

// Another file is the node's from now on, and no name of the old one leads here.
void take_copy(Tree& tree, LockedNode& node, const sys::FileKey& key) {
    for (const sys::FileKey& old : {node->key, node->rare->original}) tree.nodes().drop_key(old, node.node());
    node->rare.set(&Rare::original, {});
    set_key(tree, node, key);
    node->shown_inode = tree.shown_inodes().of(tree.set(), key.dev, key.ino);
    node->changed_since_copy = true;
    tree.nodes().add_key(key, node.node());
    node.next_generation();
    node.next_data_generation();
}

}  // namespace

bool keeps_names_apart(const Tree& tree, const sys::Stat& st, BranchIndex branch) {
    return tree.pool().files.link_cow && sys::is_regular(st) && st.stx_nlink > 1 && tree.set().at(branch).writable();
}

sys::FileKey key_of_name(const sys::FileKey& file, const Node& parent, std::string_view name) {
    sys::FileKey key = file;
    const auto place = std::hash<std::string_view>()(name) ^ reinterpret_cast<std::uintptr_t>(&parent) >> 4;
    key.birth ^= static_cast<std::uint32_t>(place ^ place >> 32) | 1U;
    return key;
}

Status part_name(Tree& tree, const NodeRef& node, const CopyUpRequest& request) {
    const auto seen = TRY(tree.find_object(node));
    if (!keeps_names_apart(tree, seen.st, seen.branch)) return {};
    if (!request.may_block) return Errno(EINPROGRESS);
    const Link link = TRY(take_name(tree, node, request));
    if (!link.parent) return {};
    Defer end([&] {
        {
            LockedNode state(*node);
            state->copying = state->moving = false;
        }
        tree.copy_condition(*node).notify_all();
    });
    auto object = TRY(tree.find_object(node));
    if (!keeps_names_apart(tree, object.st, object.branch)) return {};
    CopySource source{.fd = object.fd, .st = object.st, .sync = tree.layer_options().sync};
    source.data_bytes = std::min<std::uint64_t>(object.st.stx_size, request.keep_bytes);
    auto staged = TRY(stage_copy(*TRY(tree.workdir_of(object.branch)), source, request.cancelled));
    const auto dir = TRY(tree.dir_on(link.parent, object.branch));
    const Branch& branch = tree.set().at(object.branch);
    const auto key = sys::key_of(TRY(branch.stat_fd(staged.fd())));
    const Name name = TRY(Name::parse(link.name));
    KeptTimes keep(dir);
    LockedNode state(*node);
    // Renames and removals of the node waited meanwhile; on the branch itself anybody may have put something else
    // there.
    if (sys::key_of(TRY(branch.stat_at(*dir, name))) != state->key) return Errno(ESTALE);
    expect_key(tree, state, key);
    TRY(staged.publish_over(*dir, name));
    take_copy(tree, state, key);
    log::debug("{} parted from the other names of its file", link.name);
    return {};
}

}  // namespace plyfs

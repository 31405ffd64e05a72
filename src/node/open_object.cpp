#include "node/open_object.h"

#include <fcntl.h>

#include <algorithm>

#include "node/faces.h"
#include "sys/open.h"

namespace plyfs {
namespace {

template <typename Use>
void for_each_opens(NodeState& node, Use use) {
    if (node.face.opens) use(*node.face.opens);
    for (const auto& old : node.rare->retired) {
        if (old->opens) use(*old->opens);
    }
}

// O_PATH, so that nobody takes it for a writer.
UniqueFd pin_of(const sys::FileKey& key, BorrowedFd fd) {
    if (!fd.valid()) return {};
    const auto st = sys::stat_fd(fd);
    if (!st || sys::key_of(*st) != key) return {};  // of a copy on another branch, or of before a copy-up
    auto pin = sys::reopen(fd, O_PATH);
    return pin ? std::move(*pin) : UniqueFd();
}

}  // namespace

bool pin_while_open(Tree& tree, const NodeRef& node) {
    std::vector<SharedFd> held;  // let go of after the lock
    LockedNode state(*node);
    if (state->pinned.valid()) return true;
    if (!state->links.empty() || state->unlinked || !tree.set().at(state->winner).present()) return false;
    UniqueFd pin;
    for_each_opens(*state, [&](Opens& opens) {
        if (!pin.valid() && opens.backing) pin = pin_of(state->key, opens.backing->path());
        for (KeptDescriptor* kept : opens.kept) {
            if (pin.valid()) return;
            if (held.emplace_back(kept->any())) pin = pin_of(state->key, *held.back());
        }
    });
    state->pinned_while_open = pin.valid();
    state->pinned = std::move(pin);
    return state->pinned_while_open;
}

UniqueFd unpin_closed(LockedNode& node) {
    if (!node->pinned_while_open) return {};
    bool open = false;
    for_each_opens(*node, [&](const Opens& opens) { open = open || opens.any(); });
    if (open) return {};
    node->pinned_while_open = false;
    return std::move(node->pinned);
}

Status require_name(LockedNode& node, std::int32_t pid) {
    if (!node->pinned_while_open) return {};
    auto& told = node->face.need_opens().told_stale;
    if (std::erase(told, pid) > 0) return {};
    note_told(node->face, pid);
    return Errno(ESTALE);
}

}  // namespace plyfs

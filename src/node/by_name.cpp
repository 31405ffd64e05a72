// Asking about an object without a descriptor of it.
#include "node/tree.h"

namespace plyfs {

std::optional<Result<std::size_t>> Tree::ask_by_name(const NodeRef& node, const AskByName& ask) {
    if (node->is_dir()) return std::nullopt;
    Link link;
    BranchIndex branch;
    {
        LockedNode state(*node);
        if (state->pinned.valid() || state->rare->index || state->links.empty()) return std::nullopt;
        link = state->links[0];
        branch = state->winner;
    }
    const auto dir = dir_on(link.parent, branch);
    const auto name = Name::parse(link.name);
    if (!dir || !name) return std::nullopt;
    // Whoever renames or removes it through us needs the lock: the two calls are about one object.
    LockedNode state(*node);
    const bool moved = state->winner != branch || state->links.empty() || state->links[0] != link;
    if (moved || state->pinned.valid() || state->rare->index) return std::nullopt;
    const auto answer = ask(branch, **dir, *name);
    const auto st = set_->at(branch).stat_at(**dir, *name);
    if (!st || sys::key_of(*st) != state->key) return std::nullopt;
    return answer;
}

}  // namespace plyfs

#include "ops/where.h"

#include <algorithm>

#include "ops/gone.h"

namespace plyfs::ops {

Result<std::vector<BranchIndex>> branches_of(Context& ctx, const NodeRef& node) {
    if (node->is_dir()) return LockedNode(*node)->as_dir->layers;
    Link link;
    {
        LockedNode state(*node);
        if (state->links.empty()) return std::vector<BranchIndex>();
        link = state->links[0];
    }
    std::vector<BranchIndex> out;
    for (const Hit& hit : TRY(look_at(ctx, link.parent, TRY(Name::parse(link.name)), Open::nothing)).hits) {
        if (!hit.whiteout) out.push_back(hit.branch);
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::optional<Where> asks_where(std::string_view attribute) {
    constexpr std::string_view kNames[] = {"basepath", "relpath", "fullpath", "allpaths"};
    for (const std::string_view prefix : {"user.mergerfs.", "user.plyfs."}) {
        if (!attribute.starts_with(prefix)) continue;
        const auto* found = std::find(std::begin(kNames), std::end(kNames), attribute.substr(prefix.size()));
        if (found != std::end(kNames)) return static_cast<Where>(found - std::begin(kNames));
    }
    return std::nullopt;
}

Result<std::string> tell_where(Context& ctx, NodeId id, Where where) {
    const NodeRef node = TRY(node_of(ctx, id));
    const BranchSet& set = ctx.tree.set();
    const auto path = ctx.tree.path_of(node);
    if (path.failed_with(ENOENT)) return Errno(ENODATA);
    if (!path) return path.error();
    const BranchIndex winner = LockedNode(*node)->winner;
    switch (where) {
        case Where::base:
            return set.at(winner).path();
        case Where::relative:
            return path->empty() ? std::string("/") : *path;
        case Where::full:
            return set.at(winner).path() + *path;
        case Where::all:
            break;
    }
    std::string out;
    for (BranchIndex branch : TRY(branches_of(ctx, node))) {
        if (!out.empty()) out.push_back('\0');
        out += set.at(branch).path() + *path;
    }
    return out;
}

}  // namespace plyfs::ops

#include "overlay/rename_plan.h"

#include <algorithm>

namespace plyfs {
namespace {

using Kind = Presence::Kind;

const Presence* on_branch(std::span<const Presence> hits, BranchIndex branch) {
    for (const auto& hit : hits) {
        if (hit.branch == branch) return &hit;
    }
    return nullptr;
}

// Something below `branch` that stays where it is and would be seen through.
bool shows_below(std::span<const Presence> hits, BranchIndex branch) {
    return std::any_of(hits.begin(), hits.end(), [&](const Presence& hit) {
        return hit.branch > branch && !hit.writable && hit.kind != Kind::whiteout;
    });
}

bool directory_below(std::span<const Presence> hits, BranchIndex branch) {
    return std::any_of(hits.begin(), hits.end(), [&](const Presence& hit) {
        return hit.branch > branch && !hit.writable && hit.kind == Kind::directory;
    });
}

bool whiteout_above(std::span<const Presence> hits, BranchIndex branch) {
    return std::any_of(hits.begin(), hits.end(),
                       [&](const Presence& hit) { return hit.branch < branch && hit.kind == Kind::whiteout; });
}

bool hidden_beside(std::span<const Presence> hits, BranchIndex branch) {
    return std::any_of(hits.begin(), hits.end(), [&](const Presence& hit) {
        return hit.branch == branch && hit.kind == Kind::whiteout && hit.beside;
    });
}

Result<RenamePlan> plan_exchange(const RenameFacts& facts) {
    if (facts.target.empty() || facts.target[0].kind == Kind::whiteout) return Errno(ENOENT);
    const Presence& source = facts.source[0];
    const Presence& target = facts.target[0];
    if (source.branch != target.branch) return Errno(EXDEV);
    if (!source.writable || !target.writable) return Errno(EXDEV);
    if (facts.source_layers > 1 && !facts.source_redirects) return Errno(EXDEV);
    if (facts.target_layers > 1 && !facts.target_redirects) return Errno(EXDEV);
    RenamePlan plan;
    plan.branch = source.branch;
    plan.make_opaque =
        source.kind == Kind::directory && !facts.source_redirects && directory_below(facts.target, plan.branch);
    plan.make_target_opaque =
        target.kind == Kind::directory && !facts.target_redirects && directory_below(facts.source, plan.branch);
    return plan;
}

}  // namespace

Result<RenamePlan> plan_rename(const RenameFacts& facts) {
    if (facts.source.empty() || facts.source[0].kind == Kind::whiteout) return Errno(ENOENT);
    if (facts.exchange) return plan_exchange(facts);
    const bool directory = facts.source[0].kind == Kind::directory;
    if (directory && facts.source_fixed && !facts.source_redirects) return Errno(EXDEV);
    if (!facts.source[0].writable) return Errno(EROFS);

    RenamePlan plan;
    plan.branch = facts.source[0].branch;
    plan.leave_whiteout = facts.keep_whiteout || shows_below(facts.source, plan.branch);
    const Presence* here = on_branch(facts.target, plan.branch);
    plan.swap_whiteout = directory && here && here->kind == Kind::whiteout && !here->beside;
    plan.clear_target = here && here->kind == Kind::directory;
    // What a whiteout above hides was not looked at, and will lie below the directory once the whiteout has gone.
    plan.make_opaque = directory && !facts.source_redirects &&
                       (plan.swap_whiteout || hidden_beside(facts.target, plan.branch) ||
                        directory_below(facts.target, plan.branch) || whiteout_above(facts.target, plan.branch));

    for (const Presence& hit : facts.source.subspan(1)) {
        if (hit.kind == Kind::whiteout || !hit.writable) continue;
        (directory && hit.kind == Kind::directory ? plan.also_rename : plan.remove_source).push_back(hit.branch);
    }
    // An opaque mark would hide the directory's own other parts as well.
    if (plan.make_opaque && !plan.also_rename.empty()) return Errno(EXDEV);
    for (const Presence& hit : facts.target) {
        if (hit.branch == plan.branch) continue;
        const bool also =
            std::find(plan.also_rename.begin(), plan.also_rename.end(), hit.branch) != plan.also_rename.end();
        if (also && hit.kind == Kind::directory) continue;
        // A directory can not be renamed over anything else, and its parts below a whiteout would not be seen.
        if (also || (hit.kind == Kind::whiteout && hit.branch > plan.branch && !plan.also_rename.empty())) {
            return Errno(EXDEV);
        }
        // It goes on hiding what lies below it: from a directory at the new name that would be merged with it.
        if (hit.kind == Kind::whiteout && hit.branch > plan.branch) continue;
        if (hit.branch < plan.branch && !hit.writable) return Errno(EXDEV);
        if (hit.writable) plan.remove_target.push_back(hit.branch);
    }
    return plan;
}

}  // namespace plyfs

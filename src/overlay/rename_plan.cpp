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

bool contains(const std::vector<BranchIndex>& branches, BranchIndex branch) {
    return std::find(branches.begin(), branches.end(), branch) != branches.end();
}

bool may_take(const RenameFacts& facts, BranchIndex branch) {
    return !facts.homes || contains(*facts.homes, branch);
}

bool is_object(const Presence* hit) {
    return hit && hit->kind != Kind::whiteout && hit->writable;
}

// What lies hidden on other branches is exchanged as well: it stays a copy of what it was.
void plan_other_copies(const RenameFacts& facts, RenamePlan& plan) {
    for (const Presence& hit : facts.source) {
        if (hit.branch == plan.branch || !is_object(&hit)) continue;
        (is_object(on_branch(facts.target, hit.branch)) ? plan.also_exchange : plan.also_rename).push_back(hit.branch);
    }
    for (const Presence& hit : facts.target) {
        if (hit.branch == plan.branch || !is_object(&hit)) continue;
        if (!is_object(on_branch(facts.source, hit.branch))) plan.rename_back.push_back(hit.branch);
    }
}

bool any_fixed(std::span<const Presence> hits) {
    return std::any_of(hits.begin(), hits.end(),
                       [](const Presence& hit) { return !hit.writable && hit.kind != Kind::whiteout; });
}

Result<RenamePlan> plan_exchange(const RenameFacts& facts) {
    if (facts.target.empty() || facts.target[0].kind == Kind::whiteout) return Errno(ENOENT);
    const Presence& source = facts.source[0];
    const Presence& target = facts.target[0];
    if (!source.writable || !target.writable) return Errno(EXDEV);
    if (!may_take(facts, source.branch)) return Errno(EXDEV);
    // In a pool a directory takes its other parts along. Overlayfs exchanges each directory that it removes twice: with
    // an empty one and with a whiteout.
    const bool may_part = !any_fixed(facts.source) && !any_fixed(facts.target);
    if (facts.source_layers > 1 && !facts.source_redirects && !may_part) return Errno(EXDEV);
    if (facts.target_layers > 1 && !facts.target_redirects && !may_part) return Errno(EXDEV);
    RenamePlan plan;
    plan.branch = std::min(source.branch, target.branch);
    if (source.kind != target.kind) {
        // Where the file is. It may have other names, and a directory can have a part anywhere.
        const bool directory_moves = source.kind == Kind::directory;
        plan.branch = directory_moves ? target.branch : source.branch;
        const Presence* part = on_branch(directory_moves ? facts.source : facts.target, plan.branch);
        if (part && part->kind != Kind::directory) return Errno(EXDEV);
        plan.carry = !part;
    } else if (source.branch != target.branch) {
        plan.carry = true;
    }
    const bool directories = source.kind == Kind::directory || target.kind == Kind::directory;
    if (plan.carry && directories && !may_part) return Errno(EXDEV);
    if (plan.carry) return plan;
    plan.make_opaque =
        source.kind == Kind::directory && !facts.source_redirects && directory_below(facts.target, plan.branch);
    plan.make_target_opaque =
        target.kind == Kind::directory && !facts.target_redirects && directory_below(facts.source, plan.branch);
    plan_other_copies(facts, plan);
    return plan;
}

// What of the source lies on other branches than the one that decides.
Status plan_other_sources(const RenameFacts& facts, RenamePlan& plan) {
    const bool directory = facts.source[0].kind == Kind::directory;
    for (const Presence& hit : facts.source.subspan(1)) {
        if (!is_object(&hit)) continue;
        if (!directory && facts.moves_along >= 0 && facts.moves_along != hit.branch) continue;
        if (may_take(facts, hit.branch)) {
            plan.also_rename.push_back(hit.branch);
        } else if (directory || hit.kind == Kind::directory) {
            return Errno(EXDEV);
        } else {
            plan.remove_source.push_back(hit.branch);
        }
    }
    // An opaque mark would hide the directory's own other parts as well.
    return plan.make_opaque && !plan.also_rename.empty() ? Status(Errno(EXDEV)) : Status();
}

// What lies at the new name on one of those branches.
Status plan_other_target(const RenameFacts& facts, const Presence& hit, RenamePlan& plan) {
    const bool directory = facts.source[0].kind == Kind::directory;
    const bool whiteout = hit.kind == Kind::whiteout;
    if (contains(plan.also_rename, hit.branch)) {
        // Replaced by the rename there. A directory can not be renamed over anything but a directory.
        return directory == (hit.kind == Kind::directory) ? Status() : Status(Errno(EXDEV));
    }
    if (whiteout && hit.branch > plan.branch) {
        // It goes on hiding what lies below it: from a directory at the new name that would be merged with it, but also
        // the directory's own parts.
        return directory && !plan.also_rename.empty() ? Status(Errno(EXDEV)) : Status();
    }
    if (hit.branch < plan.branch && !hit.writable) {
        if (directory) return Errno(EXDEV);
        plan.carry_above = plan.carry_above < 0 ? hit.branch : std::min(plan.carry_above, hit.branch);
        plan.carry = true;
        return {};
    }
    if (!hit.writable) return {};
    plan.remove_target.push_back(hit.branch);
    plan.link_first = !directory;
    return {};
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
    if (!may_take(facts, plan.branch)) return Errno(EXDEV);
    plan.leave_whiteout = facts.keep_whiteout || shows_below(facts.source, plan.branch);
    const Presence* here = on_branch(facts.target, plan.branch);
    plan.swap_whiteout = directory && here && here->kind == Kind::whiteout && !here->beside;
    plan.clear_target = here && here->kind == Kind::directory;
    // What a whiteout above hides was not looked at, and will lie below the directory once the whiteout has gone.
    plan.make_opaque = directory && !facts.source_redirects &&
                       (plan.swap_whiteout || hidden_beside(facts.target, plan.branch) ||
                        directory_below(facts.target, plan.branch) || whiteout_above(facts.target, plan.branch));

    TRY(plan_other_sources(facts, plan));
    for (const Presence& hit : facts.target) {
        if (hit.branch != plan.branch) TRY(plan_other_target(facts, hit, plan));
    }
    return plan;
}

}  // namespace plyfs

#include "ops/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/gone.h"
#include "ops/open.h"
#include "ops/walk.h"
#include "policy/rules.h"

namespace plyfs::ops {
namespace {

using Part = OnBranch::Part;

std::vector<OnBranch> all_branches(const BranchSet& set) {
    std::vector<OnBranch> out;
    for (const auto& branch : set.all()) {
        OnBranch on;
        on.branch = static_cast<BranchIndex>(branch->index());
        if (!branch->present()) on.part = Part::missing;
        out.push_back(std::move(on));
    }
    return out;
}

void explain_lacking(const BranchSet& set, const AtName& at, BranchIndex hiding, OnBranch& on) {
    const bool has_dir =
        std::any_of(at.layers.begin(), at.layers.end(), [&](const Layer& layer) { return layer.branch == on.branch; });
    if (hiding >= 0 && on.branch > hiding) {
        on.why = "what it may have is hidden by " + set.at(hiding).path();
    } else {
        on.why = has_dir ? "it has nothing of this name" : "it has no such directory, or one above hides it";
    }
}

// The last of the hits, if nothing below it was looked for.
BranchIndex hiding_branch(const BranchSet& set, const AtName& at) {
    if (!set.uses_marks()) return -1;
    for (const Hit& hit : at.hits) {
        if (hit.whiteout) return hit.branch;
    }
    return -1;
}

Part part_of(const BranchSet& set, const AtName& at, const Hit& hit, const std::vector<BranchIndex>& parts,
             std::string& why) {
    if (hit.whiteout) return Part::whiteout;
    const Hit& winner = at.winner();
    if (hit.branch == winner.branch) return Part::answers;
    if (sys::is_dir(winner.st)) {
        if (std::find(parts.begin(), parts.end(), hit.branch) != parts.end()) return Part::merged;
        why = sys::is_dir(hit.st) ? "a directory above hides it" : "a directory answers";
        return Part::hidden;
    }
    if (sys::is_dir(hit.st) || !set.at(hit.branch).writable()) {
        why = set.at(winner.branch).path() + " answers";
        return Part::hidden;
    }
    return Part::copy;
}

void explain_node(Context& ctx, const NodeRef& node, Explained& out) {
    out.regular = node->is_regular();
    if (out.regular) {
        out.read_obstacle = passthrough_obstacle(ctx, node, false);
        out.write_obstacle = passthrough_obstacle(ctx, node, true);
    }
    LockedNode state(*node);
    out.content = state->content_branch;
    const auto count = [&](const Face& face) {
        if (!face.opens) return;
        out.passthrough_opens += face.opens->passthrough;
        out.other_opens += face.opens->cached;
    };
    count(state->face);
    for (const auto& face : state->rare->retired) count(*face);
}

Explained explain_root(Context& ctx) {
    Explained out;
    out.seen = true;
    out.branches = all_branches(ctx.tree.set());
    const NodeRef root = ctx.tree.nodes().find(kRootId);
    LockedNode state(*root);
    for (OnBranch& on : out.branches) {
        if (on.part == Part::missing) continue;
        const auto& layers = state->as_dir->layers;
        const bool merged = std::find(layers.begin(), layers.end(), on.branch) != layers.end();
        on.part = on.branch == state->winner ? Part::answers : merged ? Part::merged : Part::hidden;
    }
    return out;
}

}  // namespace

std::string_view part_word(Part part) {
    constexpr std::string_view kWords[] = {"answers", "merged", "copy", "hidden", "whiteout", "none", "missing"};
    return kWords[static_cast<std::size_t>(part)];
}

Result<Explained> explain(Context& ctx, std::string_view path) {
    auto names = names_of_path(path);
    if (names.empty()) return explain_root(ctx);
    const std::string last = std::move(names.back());
    names.pop_back();
    const BranchSet& set = ctx.tree.set();
    Walk walk(ctx);
    const NodeRef parent = TRY(walk.to_dir(names));
    const NodeId parent_id = walk.at();
    const auto name = TRY(Name::parse(last));
    const AtName at = TRY(look_at(ctx, parent, name, Open::nothing));
    Explained out;
    out.branches = all_branches(set);
    out.seen = is_seen(at);
    std::vector<BranchIndex> parts;
    if (out.seen) {
        const NodeRef node = TRY(walk.step(parent_id, last));
        if (node->is_dir()) parts = LockedNode(*node)->as_dir->layers;
        explain_node(ctx, node, out);
    }
    const BranchIndex hiding = hiding_branch(set, at);
    for (OnBranch& on : out.branches) {
        if (on.part == Part::missing) continue;
        const auto hit =
            std::find_if(at.hits.begin(), at.hits.end(), [&](const Hit& h) { return h.branch == on.branch; });
        if (hit == at.hits.end()) {
            explain_lacking(set, at, hiding, on);
            continue;
        }
        on.part = part_of(set, at, *hit, parts, on.why);
        if (!hit->whiteout) on.st = hit->st;
    }
    return out;
}

namespace {

// Why a branch is never asked to take a new name; empty: it may be.
std::string obstacle_to_new(Context& ctx, const NodeRef& dir, const Branch& branch, const config::PlacementRule* rule) {
    const auto index = static_cast<BranchIndex>(branch.index());
    if (!branch.present()) return "it is missing";
    if (rule && !rule->members.empty() &&
        std::find(rule->members.begin(), rule->members.end(), index) == rule->members.end()) {
        return "the rule at " + rule->place + " names other branches";
    }
    if (branch.mode() != config::BranchMode::rw) {
        return branch.mode() == config::BranchMode::ro ? "its mode is ro" : "its mode is nc: no new names";
    }
    const Space space = branch.space();
    if (branch.on_read_only_fs() || space.read_only) return "its file system is read-only";
    if (!ctx.tree.reaches(dir, index)) return "a layer above would hide it";
    if (space.no_inodes) return "its file system has no inodes left";
    if (space.available < space.reserve) {
        return fmt::format("{} MiB are available, and minfreespace keeps {}", space.available >> 20,
                           space.reserve >> 20);
    }
    return {};
}

}  // namespace

Result<Placement> explain_new(Context& ctx, const sys::Caller& maker, std::string_view path,
                              config::Function function) {
    auto names = names_of_path(path);
    if (names.empty()) return Errno(EEXIST);
    const std::string last = std::move(names.back());
    names.pop_back();
    Walk walk(ctx);
    const NodeRef dir = TRY(walk.to_dir(names));
    const auto name = TRY(Name::parse(last));
    const config::PoolOptions& options = ctx.tree.pool();
    Placement out;
    out.exists = is_seen(TRY(look_at(ctx, dir, name, Open::nothing)));
    const policy::NewName wanted{TRY(ctx.tree.path_of(dir)) + "/" + last, maker.uid, maker.gid};
    const config::PlacementRule* rule = policy::find_rule(options.rules, wanted);
    out.policy = rule && rule->policy ? *rule->policy : options.policies.of(function);
    if (rule) out.rule = rule->place;
    const auto ranked = ctx.tree.rank_branches(dir, {.function = function, .name = last, .maker = &maker});
    if (!ranked) out.error = ranked.error().value();
    const auto order = ranked ? ranked->branches : std::vector<BranchIndex>();
    out.all = ranked && ranked->everywhere && function != config::Function::create;
    for (const auto& branch : ctx.tree.set().all()) {
        BranchForNew on;
        on.branch = static_cast<BranchIndex>(branch->index());
        const auto place = std::find(order.begin(), order.end(), on.branch);
        if (place != order.end()) {
            on.rank = static_cast<int>(place - order.begin());
        } else {
            on.why = obstacle_to_new(ctx, dir, *branch, rule);
            if (on.why.empty()) on.why = "the policy keeps to branches that have the directory";
        }
        out.branches.push_back(std::move(on));
    }
    return out;
}

}  // namespace plyfs::ops

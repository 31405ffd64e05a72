#include "control/explain.h"

#include "base/log.h"
#include "config/policy_words.h"
#include "control/commands.h"
#include "control/type_word.h"
#include "ops/explain.h"

namespace plyfs::control {
namespace {

Json branch_json(const BranchSet& set, const ops::OnBranch& on) {
    Json out;
    out.add("branch", set.at(on.branch).path()).add("part", ops::part_word(on.part));
    if (!on.why.empty()) out.add("why", on.why);
    if (on.st) {
        out.add("type", type_word(*on.st)).add("size", on.st->stx_size);
        out.add("modified", on.st->stx_mtime.tv_sec);
    }
    return out;
}

// What an open gets: passthrough, or the daemon reads and writes.
Json io_json(const Mount& mount, const std::string& obstacle, const Branch& branch) {
    using Passthrough = Branch::Passthrough;
    Json out;
    out.add("mode", obstacle.empty() ? "passthrough" : "daemon");
    if (mount.facts.max_stack_depth == "off") return std::move(out.add("why", mount.facts.depth_reason));
    if (branch.passthrough() == Passthrough::no) return std::move(out.add("why", branch.passthrough_reason()));
    if (!obstacle.empty()) return std::move(out.add("why", obstacle));
    if (branch.passthrough() == Passthrough::untried) out.add("why", "no file of its branch was opened yet to try it");
    return out;
}

Json explain_name(const Call& call, const std::string& path) {
    const auto explained = ops::explain(call.mount.ctx, path);
    if (!explained) return refusal(path + ": " + log::errno_text(explained.error().value()));
    const BranchSet& set = call.mount.ctx.tree.set();
    Json branches = Json::array(), out;
    out.add("ok", true).add("path", path).add("seen", explained->seen);
    for (const auto& on : explained->branches) branches.push(branch_json(set, on));
    for (const auto& on : explained->branches) {
        if (on.part != ops::OnBranch::Part::answers) continue;
        const Branch& winner = set.at(on.branch);
        out.add("answers", winner.path()).add("file", winner.path() + "/" + path);
        if (!explained->regular) break;
        const Branch& content = set.at(explained->content >= 0 ? explained->content : on.branch);
        if (explained->content >= 0) out.add("content", content.path());
        out.add("read", io_json(call.mount, explained->read_obstacle, content));
        out.add("write", io_json(call.mount, explained->write_obstacle, winner));
        out.add("copied_up_first", !winner.writable() || explained->content >= 0);
        out.add("opens_passthrough", explained->passthrough_opens).add("opens_daemon", explained->other_opens);
    }
    return std::move(out.add("branches", std::move(branches)));
}

Json explain_new_name(const Call& call, const std::string& path) {
    if (is_read_only(call.mount.options.config())) return refusal(path + ": nothing is made in a read-only mount");
    const BranchSet& set = call.mount.ctx.tree.set();
    const IdMap& ids = set.ids();
    const sys::Caller maker{.uid = ids.disk_uid(call.peer.uid), .gid = ids.disk_gid(call.peer.gid)};
    const auto function = call.request["directory"].is_true() ? config::Function::mkdir : config::Function::create;
    const auto placed = ops::explain_new(call.mount.ctx, maker, path, function);
    if (!placed) return refusal(path + ": " + log::errno_text(placed.error().value()));
    Json branches = Json::array(), out;
    out.add("ok", true).add("path", path).add("exists", placed->exists);
    // Layers have one branch that takes anything.
    if (!call.mount.options.config().layered) out.add("policy", config::policy_name(placed->policy));
    out.add("everywhere", placed->all);
    if (!placed->rule.empty()) out.add("rule", placed->rule);
    if (placed->error != 0) out.add("refused", log::errno_text(placed->error));
    for (const auto& on : placed->branches) {
        Json one;
        one.add("branch", set.at(on.branch).path());
        if (on.rank >= 0) one.add("rank", on.rank);
        if (on.rank < 0) one.add("why", on.why);
        if (on.rank == 0) out.add("goes_to", set.at(on.branch).path());
        branches.push(std::move(one));
    }
    return std::move(out.add("branches", std::move(branches)));
}

}  // namespace

Json run_explain(const Call& call) {
    if (!call.request["path"].is_string()) return refusal("explain wants a path from the mount's root");
    std::string path = call.request["path"].text();
    while (path.starts_with('/')) path.erase(0, 1);
    while (path.ends_with('/')) path.pop_back();
    return call.request["create"].is_true() ? explain_new_name(call, path) : explain_name(call, path);
}

}  // namespace plyfs::control

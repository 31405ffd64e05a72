#include "control/status.h"

#include <unistd.h>

#include <fmt/format.h>

namespace plyfs::control {
namespace {

std::string_view mode_word(config::BranchMode mode) {
    switch (mode) {
        case config::BranchMode::rw:
            return "rw";
        case config::BranchMode::ro:
            return "ro";
        case config::BranchMode::nc:
            return "nc";
    }
    return "?";
}

std::string_view passthrough_word(Branch::Passthrough state) {
    switch (state) {
        case Branch::Passthrough::untried:
            return "untried";
        case Branch::Passthrough::yes:
            return "yes";
        case Branch::Passthrough::no:
            return "no";
    }
    return "?";
}

}  // namespace

std::string status_text(ops::Context& ctx, const RequestCounters& requests, const MountFacts& facts) {
    std::string out;
    auto line = [&](std::string_view key, const auto& value) {
        out += log::in_one_line(fmt::format("{} {}", key, value)) + "\n";
    };
    line("pid", ::getpid());
    line("transport", facts.transport);
    line("transport_why", facts.transport_reason);
    line("max_stack_depth", facts.max_stack_depth);
    line("max_stack_depth_why", facts.depth_reason);
    line("coherence", facts.coherence);
    line("coherence_why", facts.coherence_reason);
    line("timeouts.entry", ctx.timeouts.entry.load());
    line("timeouts.attr", ctx.timeouts.attr.load());
    line("timeouts.negative", ctx.timeouts.negative.load());
    line("nodes", ctx.tree.nodes().size());
    line("descriptors", ctx.tree.dirs().size());
    for (int i = 0; i < static_cast<int>(Slot::count_); ++i) {
        const auto slot = static_cast<Slot>(i);
        line(fmt::format("requests.{}", slot_name(slot)), requests.get(slot));
    }
    const auto& counters = ctx.tree.counters();
    line("opens.passthrough", ctx.opens.passthrough.load());
    line("opens.cached", ctx.opens.cached.load());
    line("opens.direct", ctx.opens.direct.load());
    line("backings.opened", counters.backings_opened.load());
    line("backings.closed", counters.backings_closed.load());
    line("copyups", counters.copyups.load());
    line("moves", counters.moves.load());
    line("splits", counters.splits.load());
    line("estale", counters.stale.load());
    line("branches_spared", counters.spared.load());
    line("failovers", counters.failovers.load());
    line("changes.heard", counters.heard.load());
    line("changes.own", counters.heard_own.load());
    line("changes.expired", counters.expired.load());
    line("changes.doubts", counters.doubts.load());
    for (const auto& branch : ctx.tree.set().all()) {
        const auto key = fmt::format("branch.{}.", branch->index());
        line(key + "path", branch->path());
        line(key + "mode", mode_word(branch->mode()));
        line(key + "present", branch->present() ? "yes" : "no");
        line(key + "passthrough", passthrough_word(branch->passthrough()));
        line(key + "passthrough_why", branch->passthrough_reason());
    }
    return out;
}

}  // namespace plyfs::control

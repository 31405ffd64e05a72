#include "control/status.h"

#include <unistd.h>

#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "config/branch_spec.h"
#include "sys/mounted.h"

namespace plyfs::control {
namespace {

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

struct Count {
    std::string_view name;
    std::uint64_t value;
};

std::vector<Count> counts_of(ops::Context& ctx) {
    const auto& counters = ctx.tree.counters();
    return {{"opens.passthrough", ctx.opens.passthrough.load()},
            {"opens.cached", ctx.opens.cached.load()},
            {"opens.direct", ctx.opens.direct.load()},
            {"backings.opened", counters.backings_opened.load()},
            {"backings.closed", counters.backings_closed.load()},
            {"copyups", counters.copyups.load()},
            {"moves", counters.moves.load()},
            {"splits", counters.splits.load()},
            {"estale", counters.stale.load()},
            {"branches_spared", counters.spared.load()},
            {"failovers", counters.failovers.load()},
            {"changes.heard", counters.heard.load()},
            {"changes.own", counters.heard_own.load()},
            {"changes.expired", counters.expired.load()},
            {"changes.doubts", counters.doubts.load()}};
}

Json branch_json(const Branch& branch) {
    const Space space = branch.known_space();
    Json out;
    out.add("index", branch.index()).add("path", branch.path()).add("mode", config::mode_name(branch.mode()));
    out.add("present", branch.present())
        .add("hangs_for", branch.hangs_for())
        .add("available", space.available)
        .add("total", space.total);
    out.add("reserve", space.reserve).add("no_inodes", space.no_inodes);
    out.add("read_only", space.read_only || branch.on_read_only_fs()).add("network", branch.network());
    out.add("stacking", branch.stacking()).add("passthrough", passthrough_word(branch.passthrough()));
    return std::move(out.add("passthrough_why", branch.passthrough_reason()));
}

// Over rings nothing is late, unless the kernel did not take them (fuse/call).
bool has_lost_rings(const ops::Context& ctx, const MountFacts& facts) {
    return facts.transport == "io_uring" && ctx.releases_are_late;
}

std::string transport_of(const ops::Context& ctx, const MountFacts& facts) {
    return has_lost_rings(ctx, facts) ? "devfuse" : facts.transport;
}

std::string why_transport(const ops::Context& ctx, const MountFacts& facts) {
    return has_lost_rings(ctx, facts) ? "the kernel did not take the rings, its log says why" : facts.transport_reason;
}

// How layers are read, for those who look at them beside the mount.
Json layers_json(const BranchSet& set, const config::Config& config) {
    Json out;
    out.add("data_layers", config.data_layers).add("userxattr", config.layers.userxattr);
    out.add("users_lead", set.marks().user_leads);
    return std::move(out.add("follows_redirects", set.rules().follow_redirects));
}

// What the mount was given, if it says where it is from anywhere; of several files the last.
std::string config_file_of(const config::Config& config) {
    const auto written = config.written.find("config");
    if (written == config.written.end()) return {};
    const std::size_t mark = written->second.find('=');
    const std::string file = written->second.substr(mark + 1, written->second.size() - mark - 2);
    return file.starts_with('/') ? file : "";
}

Json request_json(const RequestCounters& requests, Slot slot) {
    const Latencies took = requests.latencies(slot);
    int used = Latencies::kBuckets;
    while (used > 0 && took.counts[static_cast<std::size_t>(used - 1)] == 0) --used;
    Json buckets = Json::array();
    for (int i = 0; i < used; ++i) buckets.push(took.counts[static_cast<std::size_t>(i)]);
    Json out;
    out.add("count", requests.get(slot)).add("nanoseconds", took.nanoseconds);
    return std::move(out.add("buckets", std::move(buckets)));
}

}  // namespace

bool is_read_only(const config::Config& config) {
    return config.read_only || sys::is_read_only_mount(config.mountpoint);
}

Json status_json(ops::Context& ctx, const MountFacts& facts, const config::Config& config) {
    Json timeouts, branches = Json::array(), out;
    timeouts.add("entry", ctx.timeouts.entry.load()).add("attr", ctx.timeouts.attr.load());
    timeouts.add("negative", ctx.timeouts.negative.load());
    for (const auto& branch : ctx.tree.set().all()) branches.push(branch_json(*branch));
    out.add("version", PLYFS_VERSION).add("mountpoint", config.mountpoint).add("source", config.fsname);
    out.add("pid", ::getpid()).add("kind", config.layered ? "layers" : "pool").add("read_only", is_read_only(config));
    out.add("supervisor", facts.supervisor).add("takeovers", facts.takeovers);
    out.add("transport", transport_of(ctx, facts)).add("transport_why", why_transport(ctx, facts));
    out.add("max_stack_depth", facts.max_stack_depth).add("max_stack_depth_why", facts.depth_reason);
    const bool deaf = facts.coherence == "watch" && !config.watched;
    out.add("coherence", deaf ? "timeout" : facts.coherence);
    out.add("coherence_why", deaf ? "changes may have been missed; the log says more" : facts.coherence_reason);
    out.add("timeouts", std::move(timeouts)).add("nodes", ctx.tree.nodes().size());
    out.add("descriptors", ctx.tree.dirs().size());
    out.add("config_file", config_file_of(config));
    if (config.layered) out.add("layers", layers_json(ctx.tree.set(), config));
    return std::move(out.add("branches", std::move(branches)));
}

Json counters_json(ops::Context& ctx, const RequestCounters& requests) {
    Json kinds, counts, out;
    for (int i = 0; i < static_cast<int>(Slot::count_); ++i) {
        const auto slot = static_cast<Slot>(i);
        if (requests.get(slot) > 0) kinds.add(std::string(slot_name(slot)), request_json(requests, slot));
    }
    for (const auto& [name, value] : counts_of(ctx)) counts.add(std::string(name), value);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    out.add("nanoseconds", static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count()));
    return std::move(out.add("requests", std::move(kinds)).add("counts", std::move(counts)));
}

std::string status_text(ops::Context& ctx, const RequestCounters& requests, const MountFacts& facts) {
    std::string out;
    auto line = [&](std::string_view key, const auto& value) {
        out += log::in_one_line(fmt::format("{} {}", key, value)) + "\n";
    };
    line("pid", ::getpid());
    line("supervisor", facts.supervisor);
    line("takeovers", facts.takeovers);
    line("transport", transport_of(ctx, facts));
    line("transport_why", why_transport(ctx, facts));
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
    for (const auto& [name, value] : counts_of(ctx)) line(name, value);
    for (const auto& branch : ctx.tree.set().all()) {
        const auto key = fmt::format("branch.{}.", branch->index());
        line(key + "path", branch->path());
        line(key + "mode", config::mode_name(branch->mode()));
        line(key + "present", branch->present() ? "yes" : "no");
        line(key + "hangs", branch->hangs() ? "yes" : "no");
        line(key + "passthrough", passthrough_word(branch->passthrough()));
        line(key + "passthrough_why", branch->passthrough_reason());
    }
    return out;
}

}  // namespace plyfs::control

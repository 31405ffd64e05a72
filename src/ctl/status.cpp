// list and status.
#include <fmt/format.h>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

Json with_place(const Mount& mount, const Json& answer) {
    Json out;
    for (const auto& [key, value] : answer.members()) out.add(key, value);
    out.add("type", mount.type).add("socket", mount.socket);
    return std::move(out.add("in_this_namespace", !mount.path.empty()));
}

Json unasked(const Mount& mount, const std::string& why) {
    Json out;
    out.add("ok", false).add("error", why).add("mountpoint", mount.path).add("source", mount.source);
    return with_place(mount, out);
}

std::string because(const Json& why) {
    return why.text().empty() ? "" : " (" + shown(why) + ")";
}

std::string space_text(const Json& branch) {
    if (branch["hangs_for"].real() > 0) return fmt::format("hangs for {:.0f} s", branch["hangs_for"].real());
    if (!branch["present"].is_true()) return "missing";
    if (branch["total"].number() == 0) return "";
    std::string out = size_text(branch["available"].number()) + " of " + size_text(branch["total"].number());
    if (branch["read_only"].is_true()) return out + ", read-only";
    if (branch["no_inodes"].is_true()) return out + ", no inodes left";
    return branch["available"].number() < branch["reserve"].number() ? out + ", full (minfreespace)" : out;
}

std::string status_text(const Json& status) {
    const std::string title = shown(status["mountpoint"]);
    std::string out = fmt::format("{}: {} of {} branches, pid {}, plyfs {}{}\n", title, status["kind"].text(),
                                  status["branches"].items().size(), status["pid"].number(), shown(status["version"]),
                                  status["read_only"].is_true() ? ", read-only" : "");
    out += fmt::format("  transport    {}{}\n", shown(status["transport"]), because(status["transport_why"]));
    out +=
        fmt::format("  stack depth  {}{}\n", shown(status["max_stack_depth"]), because(status["max_stack_depth_why"]));
    out += fmt::format("  coherence    {}{}\n", shown(status["coherence"]), because(status["coherence_why"]));
    const Json& timeouts = status["timeouts"];
    out += fmt::format("  timeouts     names {:g} s, attributes {:g} s, missing names {:g} s\n\n",
                       timeouts["entry"].real(), timeouts["attr"].real(), timeouts["negative"].real());
    std::vector<std::vector<std::string>> rows;
    for (const Json& branch : status["branches"].items()) {
        rows.push_back({"  " + shown(branch["path"]), shown(branch["mode"]), space_text(branch),
                        shown(branch["passthrough"]) + because(branch["passthrough_why"])});
    }
    return out + table({"  BRANCH", "MODE", "AVAILABLE", "PASSTHROUGH"}, rows);
}

std::vector<std::string> list_row(const Mount& mount) {
    const std::string path = mount.path.empty() ? "(elsewhere)" : shown(mount.path);
    try {
        const Json status = ask(mount, "status");
        std::size_t missing = 0;
        std::size_t hang = 0;
        const auto& branches = status["branches"].items();
        for (const Json& branch : branches) {
            const bool hangs = branch["hangs_for"].real() > 0;
            hang += hangs ? 1 : 0;
            missing += hangs || branch["present"].is_true() ? 0 : 1;
        }
        std::string state = missing ? fmt::format("{} missing", missing) : "";
        if (hang) state += fmt::format("{}{} hanging", missing ? ", " : "", hang);
        return {mount.path.empty() ? shown(status["mountpoint"]) + " (another mount namespace)" : path,
                shown(status["kind"]),
                std::to_string(branches.size()),
                shown(status["transport"]),
                std::to_string(status["pid"].number()),
                state.empty() ? "ok" : state};
    } catch (const Failure& failure) {
        return {path, "?", "?", "?", "?", failure.what()};
    }
}

}  // namespace

int run_list(const Words& words) {
    std::vector<std::vector<std::string>> rows;
    for (const Mount& mount : find_mounts()) {
        if (!words.json) {
            rows.push_back(list_row(mount));
            continue;
        }
        try {
            print_line(with_place(mount, ask(mount, "status")));
        } catch (const Failure& failure) {
            print_line(unasked(mount, failure.what()));
        }
    }
    if (!rows.empty()) print(table({"MOUNTPOINT", "KIND", ">BRANCHES", "TRANSPORT", ">PID", "STATE"}, rows));
    return 0;
}

int run_status(const Words& words) {
    bool first = true;
    for (const Mount& mount : mounts_named(words.arguments)) {
        const Json status = ask(mount, "status");
        if (words.json) {
            print_line(with_place(mount, status));
            continue;
        }
        print((first ? "" : "\n") + status_text(status));
        first = false;
    }
    return 0;
}

}  // namespace plyfs::ctl

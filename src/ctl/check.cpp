// config check.
#include <unistd.h>

#include "config/error.h"
#include "config/validate.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/config_read.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

struct Found {
    std::vector<std::string> faults;
    std::vector<std::string> notices;
};

// Only a mount knows what a pattern stands for, and what a command line names.
std::vector<std::string> rule_faults(config::Config& config) {
    if (!config.written.contains("branches")) return {};
    std::vector<config::BranchSpec> branches = config.branches;
    for (config::BranchSpec& branch : branches) {
        if (branch.pattern) return {};
        branch.path = real_path(branch.path).value_or(branch.path);
    }
    return config::find_rule_members(config.pool.rules, branches);
}

Found check(const std::string& path) {
    config::Draft draft = read_as_mount(path);
    Found out;
    try {
        auto config = config::settle(draft, ::geteuid() == 0);
        out.faults = rule_faults(config);
    } catch (const config::Error& error) {
        out.faults = error.messages();
    }
    out.notices = draft.notices;
    return out;
}

Json list_json(const std::vector<std::string>& lines) {
    Json out = Json::array();
    for (const auto& line : lines) out.push(line);
    return out;
}

}  // namespace

int run_config_check(const Words& words) {
    const std::string& path = words.arguments[0];
    if (path.empty()) throw Failure("FILE is an empty word", ExitCode::usage);
    const Found found = check(path);
    if (words.json) {
        Json out;
        out.add("ok", found.faults.empty()).add("faults", list_json(found.faults));
        print_line(out.add("notices", list_json(found.notices)));
    } else {
        for (const auto& line : found.faults) print(shown(line) + "\n");
        for (const auto& line : found.notices) print("note: " + shown(line) + "\n");
        if (found.faults.empty()) print(shown(path) + ": in order\n");
    }
    return found.faults.empty() ? 0 : 1;
}

}  // namespace plyfs::ctl

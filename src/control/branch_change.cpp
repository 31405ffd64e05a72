#include "control/branch_change.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <utility>

#include "config/branch_spec.h"
#include "config/error.h"
#include "config/validate.h"
#include "sys/stat.h"

namespace plyfs::control {
namespace {

const config::BranchSpec* find(const Branches& branches, const std::string& path) {
    const auto found =
        std::find_if(branches.begin(), branches.end(), [&](const auto& branch) { return branch.path == path; });
    return found == branches.end() ? nullptr : &*found;
}

bool has(const Branches& branches, const std::string& path) {
    return find(branches, path) != nullptr;
}

Branches without_matching(const Branches& branches, std::string_view patterns) {
    Branches out = branches;
    for (const std::string& pattern : config::split_list(patterns)) {
        const auto left_out = std::erase_if(
            out, [&](const auto& branch) { return ::fnmatch(pattern.c_str(), branch.path.c_str(), 0) == 0; });
        if (left_out == 0) throw config::BadValue("'" + pattern + "' fits no branch");
    }
    return out;
}

// Of mergerfs' words, the one that a text begins with.
std::string_view sign_of(std::string_view text) {
    for (const std::string_view sign : {"+<", "+>", "+", "-<", "->", "-", "="}) {
        if (text.starts_with(sign)) return sign;
    }
    return {};
}

// Whoever looks at those does not come back.
std::set<std::string> hanging(const BranchSet& set) {
    std::set<std::string> paths;
    for (const auto& branch : set.all()) {
        if (branch->hangs()) paths.insert(branch->path());
    }
    return paths;
}

// The next daemon would take the directory that a disk was mounted on.
bool is_another_by_now(const BranchSet& set, const std::string& path) {
    for (const auto& branch : set.all()) {
        if (branch->path() != path || !branch->present()) continue;
        const auto st = sys::stat_path(path.c_str());
        return st && sys::key_of(*st) != branch->root_key();
    }
    return false;
}

// All faults, also of those that are missing: only branches that the mount has already may be.
void validate(config::Config& next, const BranchSet& set, const Branches& before) {
    std::vector<std::string> faults;
    try {
        config::validate_branches(next);
    } catch (const config::Error& e) {
        faults = e.messages();
    }
    for (const auto& branch : next.branches) {
        if (!branch.missing && is_another_by_now(set, branch.path)) {
            faults.push_back("branch " + branch.path +
                             ": what lies there by now is not what the mount has; mount its disk again, or let the "
                             "branch leave as well");
        }
        if (!branch.missing || has(before, branch.path)) continue;
        faults.push_back("branch " + branch.path +
                         ": no such directory, or its disk is not mounted; see to that first");
    }
    if (!faults.empty()) throw config::Error(config::ExitCode::mount, std::move(faults));
}

// Those that hang were looked at when they did not; each goes back behind the one that it was behind.
Branches checked(const config::Config& config, const BranchSet& set, Branches branches) {
    const auto silent = hanging(set);
    std::vector<std::pair<std::string, config::BranchSpec>> left_out;  // by the one before it
    config::Config next = config;
    next.branches.clear();
    for (auto& branch : branches) {
        if (silent.contains(branch.path)) {
            left_out.emplace_back(next.branches.empty() ? "" : next.branches.back().path, std::move(branch));
        } else {
            next.branches.push_back(std::move(branch));
        }
    }
    next.pool.missing = config::BranchesMissing::degraded;
    next.pool.mount_timeout = 0;
    const auto rules = std::exchange(next.pool.rules, {});
    validate(next, set, config.branches);
    for (auto at = left_out.rbegin(); at != left_out.rend(); ++at) {
        const auto before = std::find_if(next.branches.begin(), next.branches.end(),
                                         [&](const auto& branch) { return branch.path == at->first; });
        next.branches.insert(before == next.branches.end() ? next.branches.begin() : before + 1, std::move(at->second));
    }
    next.pool.rules = rules;
    auto faults = config::find_rule_members(next.pool.rules, next.branches);
    if (!faults.empty()) throw config::Error(config::ExitCode::mount, std::move(faults));
    if (next.read_only && !config.read_only && silent.empty()) {
        throw config::BadValue(
            "no branch could be written to any more; a pool becomes read-only with a new mount only");
    }
    return next.branches;
}

}  // namespace

std::string why_none_follows(const MountFacts& facts, const config::Config& config) {
    std::string out = "that takes another daemon, and none can follow this one ";
    if (facts.transport == "io_uring") return out + "over io_uring; mount with transport=devfuse";
    if (config.drop_in) return out + "where a container engine has started it";
    if (config.locks == config::Locks::forward) return out + "with locks=forward; mount with locks=local";
    if (config.seccomp) return out + "with seccomp=on, which starts no program; mount with supervise=on as well";
    return out + "in the foreground, where its end would be taken for that of the mount; mount with supervise=on";
}

Branches with_branches(const Branches& branches, const std::vector<std::string>& written, const std::string& base,
                       bool first) {
    Branches added;
    for (const std::string& one : written) added.push_back(config::parse_branch(one, base));
    Branches out = branches;
    out.insert(first ? out.begin() : out.end(), added.begin(), added.end());
    return out;
}

Branches without_branches(const Branches& branches, const std::vector<std::string>& paths) {
    Branches out = branches;
    for (const std::string& path : paths) {
        const auto left_out = std::erase_if(out, [&](const auto& branch) { return branch.path == path; });
        if (left_out == 0) {
            throw config::BadValue("'" + path + "' is no branch of this mount; status lists those there are");
        }
    }
    return out;
}

Branches with_mode(const Branches& branches, const std::string& path, config::BranchMode mode) {
    Branches out = branches;
    for (auto& branch : out) {
        if (branch.path == path) branch.mode = mode;
    }
    return out;
}

Branches changed_branches(const Branches& branches, std::string_view text) {
    const std::string_view sign = sign_of(text);
    const std::string_view list = text.substr(sign.size());
    const bool by_place = sign == "-<" || sign == "->";
    if (by_place && !list.empty())
        throw config::BadValue("'" + std::string(text) + "': nothing goes after " + std::string(sign));
    if (by_place) {
        Branches out = branches;
        if (!out.empty()) out.erase(sign == "-<" ? out.begin() : out.end() - 1);
        return out;
    }
    if (list.empty()) throw config::BadValue("'" + std::string(text) + "' names no branch");
    if (sign == "-") return without_matching(branches, list);
    const Branches kept = sign.starts_with('+') ? branches : Branches();
    return with_branches(kept, config::split_list(list), "/", sign == "+<");
}

std::string text_of(const Branches& branches) {
    std::string out;
    for (const auto& branch : branches) {
        out += (out.empty() ? "" : ":") + config::escape_branch_path(branch.path) + "=" +
               std::string(config::mode_name(branch.mode));
    }
    return out;
}

bool same_branches(const Branches& a, const Branches& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
        return one.path == other.path && one.mode == other.mode && one.min_free == other.min_free;
    });
}

Succession plan_succession(const config::Config& config, const BranchSet& set, Branches branches,
                           const Amendments& so_far, bool force) {
    if (config.layered) throw config::BadValue("layers do not change while mounted; unmount and mount with others");
    if (branches.empty()) throw config::BadValue("a pool has at least one branch; unmount it instead");
    Succession out;
    out.amendments = so_far;
    out.force = force;
    out.amendments.branches = checked(config, set, std::move(branches));
    for (const auto& branch : config.branches) {
        const auto* then = find(*out.amendments.branches, branch.path);
        if (!then) {
            out.leaving.push_back(branch.path);
        } else if (then->mode == config::BranchMode::ro && branch.mode != config::BranchMode::ro) {
            out.sealed.push_back(branch.path);
        }
    }
    return out;
}

}  // namespace plyfs::control

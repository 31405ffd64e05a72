#include "control/live_options.h"

#include <algorithm>
#include <iterator>

#include "base/log.h"

namespace plyfs::control {
namespace {

using From = const config::Config&;
using To = config::Config&;

struct Row {
    std::string_view name;
    void (*take)(From, To);  // nullptr: it has no effect
};

// clang-format off
constexpr Row kRows[] = {
    {"minfreespace", [](From a, To b) { b.pool.min_free = a.pool.min_free; }},
    {"entry_timeout", [](From a, To b) { b.entry_timeout = a.entry_timeout; }},
    {"attr_timeout", [](From a, To b) { b.attr_timeout = a.attr_timeout; }},
    {"negative_timeout", [](From a, To b) { b.negative_timeout = a.negative_timeout; }},
    {"timeout", [](From a, To b) {
         b.entry_timeout = a.entry_timeout;
         b.attr_timeout = a.attr_timeout;
         b.negative_timeout = a.negative_timeout;
     }},
    {"statfs", [](From a, To b) { b.pool.files.statfs = a.pool.files.statfs; }},
    {"statfs-ignore", [](From a, To b) { b.pool.files.statfs_ignore = a.pool.files.statfs_ignore; }},
    {"cache.files", [](From a, To b) { b.pool.files.cache = a.pool.files.cache; }},
    {"cache.readdir", [](From a, To b) { b.pool.files.keep_listings = a.pool.files.keep_listings; }},
    {"link-cow", [](From a, To b) { b.pool.files.link_cow = a.pool.files.link_cow; }},
    {"proxy-ioprio", [](From a, To b) { b.pool.files.proxy_ioprio = a.pool.files.proxy_ioprio; }},
    {"security-capability", [](From a, To b) { b.pool.files.capabilities = a.pool.files.capabilities; }},
    {"flush-on-close", [](From a, To b) { b.pool.files.flush = a.pool.files.flush; }},
    {"inodecalc", [](From a, To b) { b.pool.files.inodes = a.pool.files.inodes; }},
    {"func.readdir", nullptr},
    {"dropcacheonclose", nullptr},
    {"nfsopenhack", nullptr},
    {"follow-symlinks", nullptr},
    {"cache.files.process-names", nullptr},
    {"moveonenospc", [](From a, To b) { b.pool.move_policy = a.pool.move_policy; }},
    {"moveonenospc-reserve", [](From a, To b) { b.pool.move_reserve = a.pool.move_reserve; }},
    {"ignorepponrename", [](From a, To b) { b.pool.ignore_paths = a.pool.ignore_paths; }},
    {"rename-exdev", [](From a, To b) { b.pool.rename_instead = a.pool.rename_instead; }},
    {"link-exdev", [](From a, To b) { b.pool.link_instead = a.pool.link_instead; }},
    {"copyup", [](From a, To b) { b.pool.copy_up = a.pool.copy_up; }},
    {"read-failover", [](From a, To b) { b.pool.failover = a.pool.failover; }},
    {"branch-lost", [](From a, To b) { b.pool.lost_is_error = a.pool.lost_is_error; }},
    {"rules", [](From a, To b) { b.pool.rules = a.pool.rules; }},
    {"selection", [](From a, To b) { b.pool.policies = a.pool.policies; }},
};
// clang-format on

const Row* find_row(const config::Option& option) {
    const auto* found =
        std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.name == option.name; });
    return found == std::end(kRows) ? nullptr : found;
}

bool is_policy(const config::Option& option) {
    return option.group == config::Group::placement && option.kind == config::Kind::policy;
}

}  // namespace

bool is_live(const config::Option& option) {
    return is_policy(option) || find_row(option) != nullptr;
}

bool has_effect(const config::Option& option) {
    const Row* row = find_row(option);
    return is_policy(option) || (row && row->take);
}

void set_live(config::Config& config, const config::Match& match, std::string_view value) {
    config::Draft draft;
    draft.base = "/";
    draft.config = config;
    config::apply_option(draft, match, std::string(value), config::Written::in_words);
    if (draft.selection) draft.config.pool.policies.set(config::Function::getattr, *draft.selection);
    for (const std::string& notice : draft.notices) log::info("{}", notice);
    config = std::move(draft.config);
}

void take_written(const config::Option& option, const config::Config& fresh, config::Config& config) {
    const std::string name(option.name);
    const auto written = fresh.written.find(name);
    if (written == fresh.written.end()) {
        config.written.erase(name);
    } else {
        config.written[name] = written->second;
    }
}

void take_live(const config::Option& option, const config::Config& fresh, config::Config& config) {
    if (is_policy(option)) config.pool.policies = fresh.pool.policies;
    const Row* row = find_row(option);
    if (row && row->take) row->take(fresh, config);
}

}  // namespace plyfs::control

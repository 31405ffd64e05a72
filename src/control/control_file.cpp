#include "control/control_file.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>

#include "base/log.h"
#include "config/error.h"
#include "config/options.h"
#include "control/branch_change.h"
#include "control/live_options.h"
#include "control/option_values.h"

namespace plyfs::control {
namespace {

constexpr NodeId kFirstId = NodeId{1} << 39;
constexpr std::string_view kPrefixes[] = {"user.mergerfs.", "user.plyfs."};  // in the order of kControlNames

std::optional<std::string_view> option_of(std::string_view attribute) {
    for (const std::string_view prefix : kPrefixes) {
        if (attribute.starts_with(prefix)) return attribute.substr(prefix.size());
    }
    return std::nullopt;
}

// Of layers, what is about pools says nothing.
bool concerns(const config::Config& config, std::string_view name) {
    const auto match = config::find_option(name);
    return !match || match->option->use != (config.layered ? config::Use::pool : config::Use::layers);
}

void apply(ops::Context& ctx, const config::Config& config) {
    ctx.tree.set_pool(config.pool);
    for (const auto& branch : ctx.tree.set().all()) branch->set_pool_min_free(config.pool.min_free);
    ctx.timeouts.set(config);
}

bool is_written_alike(const config::Option& option, const config::Config& a, const config::Config& b) {
    const std::string name(option.name);
    const auto in_a = a.written.find(name);
    const auto in_b = b.written.find(name);
    const bool is_in_a = in_a != a.written.end();
    const bool is_in_b = in_b != b.written.end();
    return is_in_a == is_in_b && (!is_in_a || in_a->second == in_b->second);
}

// ENODATA: there is no such option; EROFS: it can not be changed while mounted; EINVAL: that is no value of it.
Status change_in(config::Config& config, std::string_view name, std::string_view value, std::string& why) {
    const auto match = config::find_option(name);
    if (!match) {
        const bool told = option_value(config, name).has_value();
        why = told ? "it is no option but a fact" : config::unknown_option(name);
        return Errno(told ? EROFS : ENODATA);
    }
    if (!concerns(config, name)) {
        why = config.layered ? "it is about pools, and these are layers" : "it is about layers, and this is a pool";
        return Errno(EROFS);
    }
    if (!is_live(*match->option)) {
        const bool branches = match->option->name == "branches";
        why = branches ? "plyctl branch add and branch remove change them"
                       : "it can not change while mounted; unmount and mount again with it";
        return Errno(EROFS);
    }
    try {
        set_live(config, *match, value);
    } catch (const config::BadValue& e) {
        why = e.what();
        return Errno(EINVAL);
    }
    return {};
}

timespec now() {
    timespec out;
    ::clock_gettime(CLOCK_REALTIME, &out);
    return out;
}

}  // namespace

bool is_control_file(NodeId id) {
    return id >= kFirstId && id < kFirstId + std::size(kControlNames);
}

ControlFile::ControlFile(config::Config config, Amendments amendments, Keep keep)
    : since_(now()), config_(std::move(config)), amendments_(std::move(amendments)), keep_(std::move(keep)) {}

void ControlFile::keep() {
    if (keep_) keep_(amendments_.write());
}

void ControlFile::set_branch_mode(std::size_t branch, config::BranchMode mode) {
    MutexLock lock(mutex_);
    config_.branches[branch].mode = mode;
    amendments_.branches = config_.branches;
    keep();
}

std::optional<ops::Entry> ControlFile::find(ops::Context& ctx, NodeId parent, std::string_view name) const {
    if (parent != kRootId || !ctx.tree.pool().files.control) return std::nullopt;
    const auto* found = std::find(std::begin(kControlNames), std::end(kControlNames), name);
    if (found == std::end(kControlNames)) return std::nullopt;
    const NodeId id = kFirstId + static_cast<NodeId>(found - std::begin(kControlNames));
    return ops::Entry{id, show(ctx, id), ctx.timeouts.entry.load(std::memory_order_relaxed), ctx.generation};
}

ops::Attr ControlFile::show(const ops::Context& ctx, NodeId id) const {
    ops::Attr out{{}, ctx.timeouts.attr.load(std::memory_order_relaxed)};
    out.st.stx_mask = STATX_BASIC_STATS;
    out.st.stx_mode = S_IFREG | 0664;
    out.st.stx_nlink = 1;
    out.st.stx_ino = id;
    out.st.stx_blksize = 4096;
    for (auto* time : {&out.st.stx_atime, &out.st.stx_mtime, &out.st.stx_ctime}) {
        time->tv_sec = since_.tv_sec;
        time->tv_nsec = static_cast<std::uint32_t>(since_.tv_nsec);
    }
    return out;
}

void ControlFile::set_watched(ops::Context& ctx, bool watched) {
    MutexLock lock(mutex_);
    config_.watched = watched;
    ctx.timeouts.set(config_);
}

Result<std::string> ControlFile::get(std::string_view attribute) const {
    const auto name = option_of(attribute);
    if (!name) return Errno(ENODATA);
    return value(*name);
}

Result<std::string> ControlFile::value(std::string_view name) const {
    MutexLock lock(mutex_);
    const auto told = concerns(config_, name) ? option_value(config_, name) : std::nullopt;
    if (!told) return Errno(ENODATA);
    return *told;
}

std::vector<ControlFile::NamedValue> ControlFile::values() const {
    MutexLock lock(mutex_);
    std::vector<NamedValue> out;
    for (const std::string_view name : told_options()) {
        if (concerns(config_, name)) out.push_back({name, *option_value(config_, name)});
    }
    return out;
}

std::string ControlFile::list(NodeId id) const {
    std::string out;
    for (const auto& [name, told] : values()) out.append(kPrefixes[id - kFirstId]).append(name).push_back('\0');
    return out;
}

Status ControlFile::set(ops::Context& ctx, std::string_view attribute, std::string_view value) {
    const auto name = option_of(attribute);
    if (!name) return Errno(ENODATA);
    std::string why;
    auto changed = change(ctx, *name, value, why);
    if (changed.failed_with(EINVAL)) log::warn("{}={}: {}", attribute, value, why);
    return changed;
}

bool ControlFile::is_of_branches(std::string_view attribute) {
    const auto name = option_of(attribute);
    return name && *name == "branches";
}

Result<Succession> ControlFile::plan_branches(ops::Context& ctx, std::string_view value, bool can_be_followed) const {
    if (!can_be_followed) {
        log::warn("branches={}: no other daemon can follow this one; plyctl branch add tells why", value);
        return Errno(EROFS);
    }
    const config::Config config = this->config();
    try {
        return plan_succession(config, ctx.tree.set(), changed_branches(config.branches, value), amendments(), false);
    } catch (const std::exception& e) {
        log::warn("branches={}: {}", value, e.what());
        return Errno(EINVAL);
    }
}

Status ControlFile::change(ops::Context& ctx, std::string_view name, std::string_view value, std::string& why) {
    MutexLock lock(mutex_);
    TRY(change_in(config_, name, value, why));
    apply(ctx, config_);
    amendments_.set_option(name, value);
    keep();
    log::info("set while mounted: {}={}", name, value);
    return {};
}

ControlFile::Remounted ControlFile::remount(ops::Context& ctx, const std::vector<config::OptionWord>& words,
                                            Remount how) {
    Remounted out;
    config::Draft said;
    said.base = "/";
    config::apply_each(said, words);
    out.faults = std::move(said.errors);
    if (!out.faults.empty()) return out;
    MutexLock lock(mutex_);
    config::Config next = config_;
    Amendments amendments = amendments_;
    for (const auto& [name, value] : words) {
        const auto match = config::find_option(name);
        if (match && is_written_alike(*match->option, said.config, config_)) continue;
        std::string why;
        const std::string text = value.value_or("on");
        if (auto changed = change_in(next, name, text, why); !changed) {
            out.faults.push_back("option " + name + ": " + why);
        }
        out.changed.push_back(name);
        amendments.set_option(name, text);
    }
    if (how == Remount::only_check || !out.faults.empty() || out.changed.empty()) return out;
    config_ = std::move(next);
    amendments_ = std::move(amendments);
    apply(ctx, config_);
    keep();
    log::info("remounted: {} options changed", out.changed.size());
    return out;
}

ControlFile::Reloaded ControlFile::reload(ops::Context& ctx, config::Config fresh) {
    Reloaded out;
    MutexLock lock(mutex_);
    for (const config::Option& option : config::option_table()) {
        if (is_written_alike(option, config_, fresh)) continue;
        (is_live(option) ? out.changed : out.kept).emplace_back(option.name);
    }
    out.overruled = fresh.overruled;
    // Also what was set by hand since gives way to what is written.
    const config::Config before = config_;
    for (const config::Option& option : config::option_table()) {
        if (!is_live(option)) continue;
        take_live(option, fresh, config_);
        take_written(option, fresh, config_);
    }
    for (const auto& [set, value] : amendments_.options) {
        const auto match = config::find_option(set);
        const std::string name(match ? match->option->name : std::string_view(set));
        const bool told = std::find(out.changed.begin(), out.changed.end(), name) != out.changed.end();
        if (!told && option_value(before, name) != option_value(config_, name)) out.changed.push_back(name);
    }
    apply(ctx, config_);
    amendments_.reloaded = true;
    amendments_.options.clear();
    keep();
    log::info("configuration read again: {} options changed, {} need a new mount", out.changed.size(), out.kept.size());
    return out;
}

}  // namespace plyfs::control

#include "control/control_file.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>

#include "base/log.h"
#include "config/error.h"
#include "config/options.h"
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

// What every request reads anew, so that it may change between two of them.
bool is_live(const config::Option& option) {
    constexpr std::string_view kLive[] = {"minfreespace",
                                          "entry_timeout",
                                          "attr_timeout",
                                          "negative_timeout",
                                          "timeout",
                                          "statfs",
                                          "statfs-ignore",
                                          "cache.files",
                                          "cache.readdir",
                                          "link-cow",
                                          "proxy-ioprio",
                                          "security-capability",
                                          "flush-on-close",
                                          "inodecalc",
                                          "func.readdir",
                                          "dropcacheonclose",
                                          "nfsopenhack",
                                          "follow-symlinks",
                                          "cache.files.process-names",
                                          "moveonenospc",
                                          "moveonenospc-reserve",
                                          "ignorepponrename",
                                          "rename-exdev",
                                          "link-exdev",
                                          "copyup",
                                          "read-failover",
                                          "branch-lost"};
    if (option.group == config::Group::placement && option.kind == config::Kind::policy) return true;
    return std::find(std::begin(kLive), std::end(kLive), option.name) != std::end(kLive);
}

void apply(ops::Context& ctx, const config::Config& config) {
    ctx.tree.set_pool(config.pool);
    for (const auto& branch : ctx.tree.set().all()) branch->set_pool_min_free(config.pool.min_free);
    ctx.timeouts.set(config);
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

ControlFile::ControlFile(config::Config config) : since_(now()), config_(std::move(config)) {}

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
    MutexLock lock(mutex_);
    auto value = option_value(config_, *name);
    if (!value) return Errno(ENODATA);
    return *value;
}

std::string ControlFile::list(NodeId id) const {
    std::string out;
    for (const std::string_view name : told_options()) {
        out.append(kPrefixes[id - kFirstId]).append(name).push_back('\0');
    }
    return out;
}

Status ControlFile::set(ops::Context& ctx, std::string_view attribute, std::string_view value) {
    const auto name = option_of(attribute);
    const auto match = name ? config::find_option(*name) : std::nullopt;
    MutexLock lock(mutex_);
    if (!match) return Errno(name && option_value(config_, *name) ? EROFS : ENODATA);
    if (!is_live(*match->option)) return Errno(EROFS);
    config::Draft draft;
    draft.base = "/";
    draft.config = config_;
    try {
        config::apply_option(draft, *match, std::string(value), config::Written::in_words);
    } catch (const config::BadValue& e) {
        log::warn("{}={}: {}", attribute, value, e.what());
        return Errno(EINVAL);
    }
    for (const std::string& notice : draft.notices) log::info("{}", notice);
    config_ = std::move(draft.config);
    apply(ctx, config_);
    log::info("set while mounted: {}={}", *name, value);
    return {};
}

}  // namespace plyfs::control

#include "ops/timeouts.h"

#include <time.h>

#include <algorithm>

#include "ops/context.h"

namespace plyfs::ops {
namespace {

// A file that somebody goes on writing to on the branch is heard of when he closes it. One that changed lately may be
// such a file, so it is asked for more often.
constexpr double kShareOfAge = 0.1;

double age_of(const sys::Stat& st) {
    struct timespec now;
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return static_cast<double>(now.tv_sec - st.stx_ctime.tv_sec);
}

// What is mounted inside a branch nobody watches.
bool is_heard(const Context& ctx, BranchIndex branch, const sys::Stat& st) {
    return sys::device_of(st) == ctx.tree.set().at(branch).device();
}

// These nodes are not found by what an event tells of them, or change without one.
bool is_another(const Context& ctx, const sys::Stat& st) {
    const auto& files = ctx.tree.pool().files;
    return files.symlinkify || (files.link_cow && st.stx_nlink > 1);
}

}  // namespace

void Timeouts::set(const config::Config& config) {
    const auto& unheard = config.layered ? config::kLayerTimeouts : config::kPoolTimeouts;
    const auto& usual = config.watched ? config::kWatchedTimeouts : unheard;
    entry = config.entry_timeout.value_or(usual.known);
    attr = config.attr_timeout.value_or(usual.known);
    negative = config.negative_timeout.value_or(usual.missing);
    entry_unheard = config.entry_timeout ? -1 : unheard.known;
    attr_unheard = config.attr_timeout ? -1 : unheard.known;
}

double entry_timeout(const Context& ctx, BranchIndex branch, const sys::Stat& st) {
    const double usual = ctx.timeouts.entry.load(std::memory_order_relaxed);
    const double unheard = ctx.timeouts.entry_unheard.load(std::memory_order_relaxed);
    return unheard < 0 || is_heard(ctx, branch, st) ? usual : std::min(usual, unheard);
}

double parts_timeout(const Context& ctx) {
    const double usual = ctx.timeouts.entry.load(std::memory_order_relaxed);
    const double unheard = ctx.timeouts.entry_unheard.load(std::memory_order_relaxed);
    return unheard < 0 ? usual : std::min(usual, unheard);
}

double attr_timeout(const Context& ctx, BranchIndex branch, const sys::Stat& st) {
    const double usual = ctx.timeouts.attr.load(std::memory_order_relaxed);
    const double unheard = ctx.timeouts.attr_unheard.load(std::memory_order_relaxed);
    if (unheard < 0 || unheard >= usual) return usual;
    if (!is_heard(ctx, branch, st)) return unheard;
    if (!sys::is_regular(st)) return usual;
    if (is_another(ctx, st)) return unheard;
    return std::min(usual, std::max(unheard, age_of(st) * kShareOfAge));
}

}  // namespace plyfs::ops

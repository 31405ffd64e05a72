// For how long the kernel may believe what it is told.
#pragma once

#include <atomic>

#include "branch/branch.h"
#include "config/config.h"
#include "sys/stat.h"

namespace plyfs::ops {

struct Context;

// Seconds; may be changed while requests are served.
struct Timeouts {
    std::atomic<double> entry{0};
    std::atomic<double> attr{0};
    std::atomic<double> negative{0};
    // The most of the first two where changes by others are not heard of; -1: as they are.
    std::atomic<double> entry_unheard{-1};
    std::atomic<double> attr_unheard{-1};

    void set(const config::Config& config);
};

// Of a name and of attributes; st: of the object on its branch.
double entry_timeout(const Context& ctx, BranchIndex branch, const sys::Stat& st);
double attr_timeout(const Context& ctx, BranchIndex branch, const sys::Stat& st);
// How long a directory is taken to have no other parts than those that are known. The kernel asks anew for a name that
// leads to another part by now, but who stands in the directory comes by no name.
double parts_timeout(const Context& ctx);

}  // namespace plyfs::ops

#include "fuse/heap_trim.h"

#include <malloc.h>

namespace plyfs::fuse {
namespace {

constexpr std::uint64_t kMany = 20000;  // some ten megabytes
constexpr std::uint64_t kOf = 4;        // three of so many went

}  // namespace

bool HeapTrim::is_due(std::uint64_t nodes_left) {
    std::uint64_t most = most_.load(std::memory_order_relaxed);
    for (;;) {
        const bool due = most >= kMany && nodes_left <= most / kOf;
        if (!due && nodes_left <= most) return false;
        if (most_.compare_exchange_weak(most, nodes_left, std::memory_order_relaxed)) return due;
    }
}

void HeapTrim::run() {
    ::malloc_trim(0);
}

}  // namespace plyfs::fuse

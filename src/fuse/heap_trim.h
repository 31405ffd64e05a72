// HeapTrim: gives the memory of what was forgotten back to the system. The allocator would keep it for ever, because it
// lies between things that are still needed.
#pragma once

#include <atomic>
#include <cstdint>

namespace plyfs::fuse {

class HeapTrim {
  public:
    // Whether so many nodes went since there were most that it is worth it; true for one of those who ask.
    bool is_due(std::uint64_t nodes_left);
    // Takes as long as there is memory to go through, and whoever needs some meanwhile waits: not for a thread that
    // reads requests.
    static void run();

  private:
    std::atomic<std::uint64_t> most_{0};
};

}  // namespace plyfs::fuse

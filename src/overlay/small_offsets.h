// Offsets in a directory as all programs can be told them: readdir(3) of one that is built for 32 bits and without
// large file support fails with EOVERFLOW where an offset has more than 31 bits. File systems give such ones smaller
// offsets; we are not seen to ask for them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs {

class SmallOffsets {
  public:
    // For a directory with this offset after its first entry. None: they are large, and of a kind that is not known.
    static Result<std::optional<SmallOffsets>> of(BorrowedFd dir, std::int64_t first);

    std::int64_t told(std::int64_t offset) const { return hashed_ ? offset >> kHashShift : offset; }
    // Where what was told is again, and the end for what never was. With the hash goes what tells names of the same
    // hash apart: of these (two of n names by n in 2^31) the first one may be given again.
    std::int64_t of_told(std::int64_t told) const {
        if (!hashed_) return told;
        return told > kLargestTold ? std::numeric_limits<std::int64_t>::max() : told << kHashShift;
    }

  private:
    // ext4's offsets for programs of 64 bits are a hash of 31 bits and another of 32 below; those for programs of 32
    // bits are the first alone (fs/ext4/dir.c, hash2pos).
    static constexpr int kHashShift = 32;
    static constexpr std::int64_t kLargestTold = std::numeric_limits<std::int32_t>::max();
    bool hashed_ = false;
};

}  // namespace plyfs

#include "overlay/small_offsets.h"

#include <linux/magic.h>

#include "sys/stat.h"

namespace plyfs {

Result<std::optional<SmallOffsets>> SmallOffsets::of(BorrowedFd dir, std::int64_t first) {
    SmallOffsets out;
    if (first >= 0 && first <= kLargestTold) return std::optional(out);
    if (TRY(sys::fs_type(dir)) != EXT4_SUPER_MAGIC) return std::optional<SmallOffsets>();
    out.hashed_ = true;
    return std::optional(out);
}

}  // namespace plyfs

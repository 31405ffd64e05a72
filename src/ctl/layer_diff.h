// What the upper of layers changes: what is seen in the mount, compared with what the layers below would show without
// it. The upper itself says no more than where to look, so no form of its marks can be misread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "ctl/mounts.h"
#include "sys/stat.h"

namespace plyfs::ctl {

struct Change {
    // same: a directory that is what it was, but for what is in it.
    enum class Kind : char { added = 'A', modified = 'M', deleted = 'D', same = ' ' };
    Kind kind;
    std::string path;  // from the mount's root
    sys::Stat st;      // as seen in the mount; of what is deleted, as it lies below
};

struct Changes {
    UniqueFd root;                        // of the mount (O_PATH)
    std::vector<Change> all;              // a directory before what is in it, names in the order of their bytes
    std::vector<std::string> idle_marks;  // of the upper: whiteouts of what no layer below has
    std::uint64_t bytes = 0;              // of the files that were added or modified
};

// Throws Failure. What changes meanwhile is told as it was met.
Changes find_changes(const Mount& mount);

}  // namespace plyfs::ctl

// Names in the root of a pool that are its own and no user's, whatever lies under them on the branches: its work
// directories, which are not seen, and the two files by which it is asked and changed (control/control_file.h).
#pragma once

#include <string_view>

#include "overlay/workdir.h"

namespace plyfs {

inline constexpr std::string_view kControlNames[] = {".mergerfs", ".plyfs"};

// Of one directory.
struct OwnNames {
    bool work = false;
    bool control = false;
    bool has(std::string_view name) const {
        if (work && name.starts_with(kPoolPrefix)) return true;
        return has_control(name);
    }
    bool has_control(std::string_view name) const {
        return control && (name == kControlNames[0] || name == kControlNames[1]);
    }
};

}  // namespace plyfs

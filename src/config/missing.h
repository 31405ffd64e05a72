// Branches that are not there when a pool is mounted.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace plyfs::config {

// By branches-missing: waits for those that do not look mounted (asking mount(8) for each first), and marks those that
// may be, and are, missing. Says so in notices. Returns a fault for each marker that says a disk should be there. What
// is no directory at all is left for validation to refuse.
std::vector<std::string> settle_missing_branches(Config& config, std::vector<std::string>& notices);

}  // namespace plyfs::config

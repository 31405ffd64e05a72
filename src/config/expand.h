// Patterns of branches, put into effect once, before the mount.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace plyfs::config {

// Each branch that is a pattern gives way to the directories that fit it, in the order of their names, with its mode
// and its free space. Returns a fault for each that no directory fits, and says in notices what fits and is no
// directory.
std::vector<std::string> expand_patterns(std::vector<BranchSpec>& branches, std::vector<std::string>& notices);

}  // namespace plyfs::config

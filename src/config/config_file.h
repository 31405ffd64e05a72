// Configuration files: YAML, or mergerfs' lines of name=value; the file itself says which.
#pragma once

#include <string>

#include "config/draft.h"

namespace plyfs::config {

// Faults go into the draft. depth: how many files have named one another.
void read_config_file(const std::string& path, Draft& draft, int depth = 0);

}  // namespace plyfs::config

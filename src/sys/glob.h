// Patterns of paths that an administrator wrote: mount time only.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace plyfs::sys {

// What the shell would put in place of an absolute pattern, sorted; none when nothing fits. A directory that can not be
// read fits nothing.
Result<std::vector<std::string>> expand_pattern(const char* pattern);

}  // namespace plyfs::sys

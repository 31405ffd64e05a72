#include "sys/glob.h"

#include <glob.h>

namespace plyfs::sys {

Result<std::vector<std::string>> expand_pattern(const char* pattern) {
    glob_t found = {};
    const int fault = ::glob(pattern, 0, nullptr, &found);
    std::vector<std::string> paths;
    if (fault == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    if (fault != 0 && fault != GLOB_NOMATCH) return Errno(fault == GLOB_NOSPACE ? ENOMEM : EIO);
    return paths;
}

}  // namespace plyfs::sys

// Requests that the next daemon of a mount may carry out, because it has other branches.
#pragma once

#include <string>

#include "base/json.h"
#include "ctl/mounts.h"

namespace plyfs::ctl {

struct Changed {
    bool takes_over = false;
    Json answer;  // the daemon's; if another one took over, the status of the mount by then
};
// Returns when it is done and the kernel has forgotten what was before. Throws as ask() does, and Failure where the
// next daemon could not serve so.
Changed ask_for_change(const Mount& mount, const Json& request);

// "3 branches"
std::string branches_text(const Json& status);

}  // namespace plyfs::ctl

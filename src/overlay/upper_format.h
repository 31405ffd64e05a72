// What marks an upper directory can hold, found out in its work directory when it is mounted.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "branch/mark_rules.h"
#include "config/config.h"
#include "overlay/workdir.h"

namespace plyfs {

// rules: what is known already, with what can be written filled in. False, with one line that says why, for a format
// that the directory can not hold.
bool choose_upper_format(WorkDir& work, const config::LayerOptions& options, MarkRules& rules, std::string& failure);
const char* format_text(const MarkRules& rules);

}  // namespace plyfs

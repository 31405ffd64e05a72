// How the log speaks where the journal of systemd reads stderr: each line begins with its priority, as in "<4>".
#pragma once

#include <string>

#include "base/log.h"

namespace plyfs::log {

// From now on, for what goes to stderr.
void to_journal();
// "<6>" and so on once that is so, for lines that are written by other ways; until then nothing.
std::string priority_prefix(Level level);

}  // namespace plyfs::log

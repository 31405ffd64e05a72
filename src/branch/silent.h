// Branches that do not answer when a daemon begins.
#pragma once

#include <chrono>

#include "config/config.h"

namespace plyfs {

// For a daemon that takes a pool over, with somebody waiting for every file: a branch that does not answer in time is
// taken for missing, until it answers (node/branch_watch). Says so in the log. All are asked at once, each by a thread
// that goes on to wait.
void pass_over_silent(config::Config& config, std::chrono::milliseconds most);

}  // namespace plyfs

// Branches that are not there when a daemon takes a mount over.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "config/config.h"

namespace plyfs {

// For a daemon that takes a pool over, with somebody waiting for every file: a branch that does not answer in time, or
// that is gone (or shows only what its file system was mounted on), is taken for missing, until it is there
// (node/branch_watch): the mount has to go on with the others, whatever branches-missing says of its beginning. Says so
// in the log. All are asked at once, each by a thread that goes on to wait. silent: only of those that do not answer,
// where there are other branches to go back to.
enum class Absence { silent, any };
void pass_over_absent(config::Config& config, std::chrono::milliseconds most, Absence which);

// The layer that a directory is in the place of, its file system being gone, and what is wrong; none: all are there.
std::optional<std::string> find_absent_layer(const config::Config& config);

}  // namespace plyfs

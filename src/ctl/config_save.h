// Keeping what was set: in the configuration file that a mount was given.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ctl/mounts.h"

namespace plyfs::ctl {

using NamedValues = std::vector<std::pair<std::string, std::string>>;

// The file of a mount; throws Failure where it was given none.
std::string config_file_of(const Mount& mount);
// Writes these options into the file, which is as it was or complete, with its owner, mode and attributes. Before that
// it is read as the next mount would read it: throws Failure if it had a fault then, or said something else than the
// mount.
void save_options(const Mount& mount, const std::string& file, const NamedValues& options);

}  // namespace plyfs::ctl

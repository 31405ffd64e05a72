// mount -o remount: the flags of mount(2) are changed by the kernel, options by the daemon, as far as they can change
// while mounted (control/live_options). All of it or nothing.
#pragma once

#include <string>
#include <vector>

#include "app/remount_words.h"

namespace plyfs::app {

// Throws config::Error (ExitCode::usage where an option can not be changed, ExitCode::mount), and nothing is changed.
// only_check: nothing is changed in any case. Returns notices for the user.
std::vector<std::string> remount(const std::string& mountpoint, const RemountWords& words, bool only_check);

}  // namespace plyfs::app

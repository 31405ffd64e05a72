// A configuration file as a mount would read it, by itself.
#pragma once

#include <string>

#include "config/draft.h"

namespace plyfs::ctl {

// That branches or the mountpoint are missing is no fault of the file, for a command line can name them: something
// stands for them. Ready for config::settle().
config::Draft read_as_mount(const std::string& path);

}  // namespace plyfs::ctl

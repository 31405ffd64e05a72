// The options of a mount as text, as they are written, for whoever asks one that runs. Those that mergerfs has by its
// names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace plyfs::control {

// By any of its names; '-' and '_' are the same in them. None for an option that is not told.
std::optional<std::string> option_value(const config::Config& config, std::string_view name);
std::vector<std::string_view> told_options();

}  // namespace plyfs::control

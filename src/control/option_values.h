// The options of a pool as text, by mergerfs' names, for whoever asks a running mount.
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

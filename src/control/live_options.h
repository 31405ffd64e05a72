// Which options may change while mounted: those that every request reads anew.
#pragma once

#include <string_view>

#include "config/config.h"
#include "config/options.h"

namespace plyfs::control {

bool is_live(const config::Option& option);
// Of those that are: a few are taken and change nothing.
bool has_effect(const config::Option& option);

// Sets one as it is written after -o. Throws BadValue, and nothing is changed.
void set_live(config::Config& config, const config::Match& match, std::string_view value);

// Takes from `fresh` what such an option sets, nothing else.
void take_live(const config::Option& option, const config::Config& fresh, config::Config& config);
// How it is written there.
void take_written(const config::Option& option, const config::Config& fresh, config::Config& config);

}  // namespace plyfs::control

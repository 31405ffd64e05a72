// The rows of the option table, by topic; and what they share.
#pragma once

#include <span>

#include "config/options.h"

namespace plyfs::config {

std::span<const Option> pool_rows();
std::span<const Option> file_rows();
std::span<const Option> layer_rows();
std::span<const Option> mount_rows();

// A notice, for an option that is understood but changes nothing here.
void no_effect(Draft& draft, std::string_view what, std::string_view why);

}  // namespace plyfs::config

// Policies as they are written.
#pragma once

#include <string_view>

#include "config/pool.h"

namespace plyfs::config {

// BadValue for an unknown one, with the nearest that is known.
Policy parse_policy(std::string_view word);
std::string_view policy_name(Policy policy);

}  // namespace plyfs::config

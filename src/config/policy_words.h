// Policies as they are written.
#pragma once

#include <string_view>

#include "config/pool.h"

namespace plyfs::config {

// BadValue for an unknown one, with the nearest that is known.
Policy parse_policy(std::string_view word);
// BadValue also for one that says nothing of new names.
Policy parse_create_policy(std::string_view word);
void require_create_form(Policy policy);
std::string_view policy_name(Policy policy);

}  // namespace plyfs::config

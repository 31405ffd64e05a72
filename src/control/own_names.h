// Names in the root of a branch that are a pool's own (overlay/own_names.h), for those who look at branches themselves.
#pragma once

#include <string_view>

namespace plyfs::control {

bool is_own_name(std::string_view name);

}  // namespace plyfs::control

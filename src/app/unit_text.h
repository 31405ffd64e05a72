// Words as systemd.unit(5) has them in the names and files of units. Pure.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::app {

// The unit of what is mounted on an absolute path: "srv-my\x20pool.mount" for "/srv/my pool".
std::string mount_unit(std::string_view path);

// Whether plyfs@NAME.service is the name of a unit as it stands.
bool fits_unit_name(std::string_view name);

// A path as a word of a list, such as RequiresMountsFor=. Control characters have no place in a unit's file: an empty
// string is returned for a path with any.
std::string unit_word(std::string_view path);

}  // namespace plyfs::app

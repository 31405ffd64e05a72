// Rules that say by path, name and owner where new names go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"

namespace plyfs::policy {

struct NewName {
    std::string path;  // from the mount's root, with its leading slash
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

// Patterns are the shell's: '*', '?' and '[...]' within one component. That of a path fits a directory of the path as
// well, so that "/media" has everything below it.
bool fits(const config::PlacementRule& rule, const NewName& name);

// The first that fits; null: none.
const config::PlacementRule* find_rule(std::span<const config::PlacementRule> rules, const NewName& name);

}  // namespace plyfs::policy

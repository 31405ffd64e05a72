// The inode numbers that mergerfs' ways to calculate them give. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/config.h"

namespace plyfs {

// Whether the number of such an object is made of its path.
bool inode_is_of_path(config::InodeCalc calc, bool directory);

// path: in the mount, beginning with a '/'; looked at if the number is made of it. branch and inode: where it lies and
// its number there. Not for InodeCalc::stable, which is made of what a BranchSet knows. Never 0, which is no number.
std::uint64_t calculate_inode(config::InodeCalc calc, bool directory, std::string_view path, std::string_view branch,
                              std::uint64_t inode);

}  // namespace plyfs

// How many file systems are stacked below a directory, which decides whether its files can be the kernel's backing
// files and what may be stacked on top.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace plyfs {

// As far as the file system's type tells; 1: it is or may be stacked itself. magic: of statfs(2). name: its type as
// mountinfo has it ("fuse.sshfs"), empty where nobody knows. FUSE does not say whether it hands files of others to the
// kernel; those that keep their data elsewhere, or in another form, have none to hand over, and count as plain.
int stacking_of(std::uint64_t magic, std::string_view name);

}  // namespace plyfs

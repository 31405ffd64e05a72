// Where the control sockets lie: one for each mount, named after the number of its device, as mountinfo shows it. So a
// mount is found by its path also where several mount namespaces have the same paths, and a name is short enough.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace plyfs::control {

inline constexpr const char* kSystemDir = "/run/plyfs";

// "0-57.sock"
std::string socket_name(std::uint64_t device);
// The device of such a name; none: it is another file's.
std::optional<std::uint64_t> device_of_socket(const std::string& name);

// Where this process would make sockets, the first choice first: of root kSystemDir, and $XDG_RUNTIME_DIR/plyfs if that
// is set (a root of some user namespace may not be allowed into the former).
std::vector<std::string> own_dirs();
// Where there may be some: those, kSystemDir in any case and, for root, the users'.
std::vector<std::string> all_dirs();

// The socket of the mount with that device, in the first of them that has it; empty: none that we may see.
std::string find_socket(std::uint64_t device);

}  // namespace plyfs::control

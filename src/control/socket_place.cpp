#include "control/socket_place.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "sys/glob.h"
#include "sys/stat.h"

namespace plyfs::control {
namespace {

constexpr std::string_view kEnd = ".sock";

}  // namespace

std::string socket_name(std::uint64_t device) {
    return std::to_string(major(device)) + "-" + std::to_string(minor(device)) + std::string(kEnd);
}

std::optional<std::uint64_t> device_of_socket(const std::string& name) {
    unsigned of = 0, number = 0;
    if (!name.ends_with(kEnd) || std::sscanf(name.c_str(), "%u-%u", &of, &number) != 2) return std::nullopt;
    const std::uint64_t device = makedev(of, number);
    return socket_name(device) == name ? std::optional(device) : std::nullopt;
}

std::vector<std::string> own_dirs() {
    std::vector<std::string> dirs;
    if (::geteuid() == 0) dirs.emplace_back(kSystemDir);
    const char* users = std::getenv("XDG_RUNTIME_DIR");
    if (users && *users == '/') dirs.push_back(std::string(users) + "/plyfs");
    return dirs;
}

std::vector<std::string> all_dirs() {
    std::vector<std::string> dirs{kSystemDir};
    const auto add = [&](const std::string& dir) {
        if (std::find(dirs.begin(), dirs.end(), dir) == dirs.end()) dirs.push_back(dir);
    };
    for (const auto& dir : own_dirs()) add(dir);
    if (::geteuid() != 0) return dirs;
    if (auto users = sys::expand_pattern("/run/user/*/plyfs")) {
        for (const auto& dir : *users) add(dir);
    }
    return dirs;
}

std::string find_socket(std::uint64_t device) {
    for (const auto& dir : all_dirs()) {
        std::string path = dir + "/" + socket_name(device);
        if (sys::stat_path(path.c_str())) return path;
    }
    return {};
}

}  // namespace plyfs::control

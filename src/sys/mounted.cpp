#include "sys/mounted.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

namespace plyfs::sys {
namespace {

// Blanks and backslashes of a path are three octal digits there.
std::string unescaped(const std::string& word) {
    std::string out;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (word[i] != '\\' || i + 3 >= word.size()) {
            out += word[i];
            continue;
        }
        out += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
        i += 3;
    }
    return out;
}

bool write_number(const std::string& path, unsigned number) {
    std::ofstream file(path);
    return file.is_open() && (file << number << std::flush);
}

}  // namespace

std::vector<MountPoint> mount_points() {
    std::ifstream table("/proc/self/mountinfo");
    std::vector<MountPoint> points;
    for (std::string text; std::getline(table, text);) {
        std::istringstream words(text);
        std::string id, parent, device, root, point, word;
        words >> id >> parent >> device >> root >> point;
        while (words >> word && word != "-") {
        }
        unsigned major = 0, minor = 0;
        if (std::sscanf(device.c_str(), "%u:%u", &major, &minor) != 2) continue;
        MountPoint found{unescaped(point), {}, {makedev(major, minor), {}, unescaped(root)}, {}};
        words >> found.mounted.type >> word;
        found.source = unescaped(word);
        words >> found.options;
        points.push_back(std::move(found));
    }
    return points;
}

std::optional<MountedAt> find_mounted(const std::string& path) {
    std::optional<MountedAt> found;
    for (MountPoint& point : mount_points()) {
        if (point.path == path) found = std::move(point.mounted);
    }
    return found;
}

bool is_read_only_mount(const std::string& path) {
    bool read_only = false;
    for (const MountPoint& point : mount_points()) {
        if (point.path == path) read_only = point.options == "ro" || point.options.starts_with("ro,");
    }
    return read_only;
}

std::string overlay_that_changes(const std::string& dir) {
    for (MountPoint& point : mount_points()) {
        if (point.mounted.type != "overlay") continue;
        std::istringstream options(point.options);
        for (std::string option; std::getline(options, option, ',');) {
            const std::size_t mark = option.find('=');
            if (mark == std::string::npos) continue;
            const std::string name = option.substr(0, mark);
            if (name != "upperdir" && name != "workdir") continue;
            if (unescaped(option.substr(mark + 1)) == dir) return std::move(point.path);
        }
    }
    return {};
}

std::string type_of_mounted(std::uint64_t device) {
    for (MountPoint& point : mount_points()) {
        if (point.mounted.device == device) return std::move(point.mounted.type);
    }
    return {};
}

Status detach_mount(const std::string& path) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Errno::last();
    return {};
}

Status abort_mount(const std::string& path) {
    if (::umount2(path.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Errno::last();
    return {};
}

Status set_read_ahead(std::uint64_t device, unsigned kib) {
    const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    // A partition's are its disk's.
    for (const std::string& place : {"/sys/class/bdi/" + number, "/sys/class/bdi/" + number + "-fuse",
                                     "/sys/dev/block/" + number + "/queue", "/sys/dev/block/" + number + "/../queue"}) {
        if (write_number(place + "/read_ahead_kb", kib)) return {};
    }
    return Errno(ENOENT);
}

}  // namespace plyfs::sys

// What has to be mounted before a mount of ours can be, as drop-ins of systemd's units. What fstab's lines and the
// files in /etc/plyfs name is read as for the mount itself; nothing is mounted, and nothing has to be yet.
#pragma once

#include <string>
#include <vector>

namespace plyfs::app {

// A line of fstab(5), its octal escapes resolved.
struct FstabLine {
    std::string source;
    std::string directory;
    std::string type;
    std::string options;
};
// Empty where there is no such file.
std::vector<FstabLine> read_fstab(const std::string& path);

struct DropIn {
    std::string unit;  // "srv-pool.mount"
    std::string text;
    friend bool operator==(const DropIn&, const DropIn&) = default;
};

struct BootOrder {
    std::vector<DropIn> drop_ins;
    std::vector<std::string> faults;  // a line each; what they are about is left as it is
};

// For the mount units that systemd makes of fstab's lines, and for plyfs@NAME.service of each NAME.yaml in the folder
// that says where to mount.
BootOrder order_mounts(const std::vector<FstabLine>& fstab, const std::string& config_folder);

}  // namespace plyfs::app

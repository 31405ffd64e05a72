// Looks, before the mount, at what a configuration names: that it is there, is a directory, and that no
// directory lies where it would be changed or hidden through another. Every fault is told, each in one line
// with what to do about it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/error.h"

namespace plyfs::config {

// Makes all paths canonical (symlinks resolved) and sets read_only when no branch can be written to. Returns
// notices for the user. Throws Error (ExitCode::mount).
std::vector<std::string> validate(Config& config);

// The same for other branches of a pool that is served: nothing is asked of the mount itself.
void validate_branches(Config& config);

// Finds the branches that rules name, which are canonical by now, by their numbers; returns a fault for each that is
// none.
std::vector<std::string> find_rule_members(std::vector<PlacementRule>& rules, const std::vector<BranchSpec>& branches);

// What the machine and the caller must bring along for any mount.
struct HostFacts {
    bool root = false;
    bool fuse_device = false;                               // /dev/fuse is there
    bool fuse_device_opens = false;                         // and we may use it
    bool selinux = false;                                   // the kernel knows labels
    std::uint64_t max_request = std::uint64_t{256} * 4096;  // bytes of data in one request, at most
};
HostFacts find_host_facts();
// Throws Error: ExitCode::usage when the caller may not mount, ExitCode::system when the machine can not.
void check_host(const HostFacts& facts);
// Takes out what this machine can not do, and returns notices: labels (context= and its like) where the kernel would
// refuse a mount with any, and requests that are larger than it sends.
std::vector<std::string> fit_to_host(Config& config, const HostFacts& facts);

}  // namespace plyfs::config

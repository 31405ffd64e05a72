// Draft: what the options seen so far add up to. Options are applied one after the other, a later one over an
// earlier one; settle() makes the Config of it. Faults are collected, so that all are reported at once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace plyfs::config {

struct Option;

struct Draft {
    Config config;  // what needs no further thought is set here directly
    std::optional<std::vector<BranchSpec>> branches;
    std::optional<std::vector<std::string>> lowerdirs;
    std::vector<std::string> datadirs;
    std::string upperdir;
    std::string config_file;
    std::optional<bool> allow_other;
    std::optional<BranchesMissing> missing;
    std::optional<Policy> selection;
    std::optional<bool> unlink_winner;
    bool squash_to_root = false;
    bool mountpoint_told = false;  // that it is missing or faulty has been said
    std::optional<log::Level> log_level;

    std::string base;     // absolute path of the directory that relative paths are taken from
    bool sloppy = false;  // unknown options are a notice, not a fault (mount -s)

    std::vector<const Option*> seen;
    std::map<std::string, std::string> places;  // of options that a file set: "pool.yaml:7:5", by the options' names
    std::vector<std::string> notices;
    std::vector<std::string> errors;
};

// The Config, or an Error (ExitCode::usage) with everything that was wrong. root: whether allow_other is the
// default.
Config settle(Draft& draft, bool root);

}  // namespace plyfs::config

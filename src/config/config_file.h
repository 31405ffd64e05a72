// Configuration files: YAML, or mergerfs' lines of name=value; the file itself says which.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/draft.h"

namespace plyfs::config {

// Where files lie that are called by their name alone: NAME stands for NAME.yaml there.
inline constexpr const char* kConfigFolder = "/etc/plyfs";

// The file that a word stands for: one with its name in the folder. None for what is no mere name, such as a path or a
// list of branches, and where there is no such file.
std::optional<std::string> find_named_file(std::string_view word, const std::string& folder);

// Faults go into the draft. depth: how many files have named one another.
void read_config_file(const std::string& path, Draft& draft, int depth = 0);

}  // namespace plyfs::config

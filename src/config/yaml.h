// The YAML form of a configuration: one map whose keys are the options' names. Branches may be a list of
// "path[=MODE]" or of {path: ..., mode: ...}; other lists of directories may be YAML lists as well. Relative
// paths are taken from the file's own directory. Every fault is added to the draft as "file:line:column: key:
// what".
#pragma once

#include <string>

#include "config/draft.h"

namespace plyfs::config {

// name stands for the file in messages; draft.base for its directory.
void read_yaml_text(const std::string& text, const std::string& name, Draft& draft);

}  // namespace plyfs::config

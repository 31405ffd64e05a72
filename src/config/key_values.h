// mergerfs' form of a configuration: a line "name=value" for each option, or "name" for a flag, with '#' at the
// beginning of a comment. Each is read as a word of -o, but no comma ends it. "config=FILE" reads another such file in
// its place. Every fault is added to the draft as "file:line: what".
#pragma once

#include <string>

#include "config/draft.h"

namespace plyfs::config {

// Whether a file is in this form and not YAML: by its first line that says anything.
bool is_key_values(const std::string& text);

// name stands for the file in messages; draft.base is its directory. depth: how many files have named one another.
void read_key_values(const std::string& text, const std::string& name, Draft& draft, int depth = 0);

}  // namespace plyfs::config

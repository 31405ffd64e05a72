// Changing one option in the text of a configuration file, and nothing else of it: comments and order stay.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::ctl {

// The text with that option at that value: in the line that says it, by whichever of its names, or in a new one at the
// end. Both forms of files are known (config/config_file.h). Throws Failure, without the file's name, for an option
// whose value stands in several lines.
std::string with_option(const std::string& text, std::string_view option, const std::string& value);

}  // namespace plyfs::ctl

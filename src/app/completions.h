// Completion of the command line in shells, made of the tables of flags and options.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::app {

// The file that the shell ("bash", "zsh" or "fish") reads. Empty for another shell.
std::string completion_text(std::string_view shell);

}  // namespace plyfs::app

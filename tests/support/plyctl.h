// plyctl of the same build.
#pragma once

#include <string>
#include <vector>

#include "support/run.h"

namespace plyfs::test {

std::string plyctl_binary();
Ran run_plyctl(const std::vector<std::string>& args, int seconds = 20);

}  // namespace plyfs::test

#include "support/plyctl.h"

namespace plyfs::test {

std::string plyctl_binary() {
    return PLYCTL_BINARY;
}

Ran run_plyctl(const std::vector<std::string>& args, int seconds) {
    std::vector<std::string> argv{plyctl_binary()};
    argv.insert(argv.end(), args.begin(), args.end());
    return run(argv, seconds);
}

}  // namespace plyfs::test

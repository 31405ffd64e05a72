// plyctl: asks and changes mounts by their control sockets.
#include <sys/resource.h>

#include <iostream>

#include "ctl/command_line.h"
#include "ctl/failure.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

// A walk holds each layer's directory open on the way down, and the usual limit is for programs that use select(2).
void take_all_descriptors() {
    struct rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);  // NOLINT: without it only less fits
}

int run(const std::vector<std::string>& argv) {
    take_all_descriptors();
    const Parsed parsed = parse(argv);
    if (parsed.command) return parsed.command->run(parsed.words);
    print(parsed.version ? std::string("plyctl ") + PLYFS_VERSION + "\n" : help_text());
    return 0;
}

}  // namespace
}  // namespace plyfs::ctl

int main(int argc, char** argv) {
    using namespace plyfs::ctl;
    try {
        return run(std::vector<std::string>(argv + 1, argv + argc));
    } catch (const Failure& failure) {
        std::cerr << "plyctl: " << shown(std::string(failure.what())) << "\n";
        return static_cast<int>(failure.code());
    } catch (const std::exception& error) {
        std::cerr << "plyctl: " << shown(std::string(error.what())) << "\n";
        return static_cast<int>(ExitCode::failure);
    }
}

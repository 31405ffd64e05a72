// upgrade: mounts go on with the program as it is installed by now.
#include <iostream>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/next_daemon.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

std::string name_of(const Mount& mount) {
    return shown(mount.path.empty() ? mount.socket : mount.path);
}

void upgrade(const Words& words, const Mount& mount) {
    Json request;
    request.add("command", "upgrade").add("force", words.force);
    const auto [takes_over, status] = ask_for_change(mount, request);
    if (words.json) {
        print_line(status);
    } else {
        print(name_of(mount) + ": served by plyfs " + shown(status["version"]) + ", pid " +
              std::to_string(status["pid"].number()) + "\n");
    }
}

}  // namespace

int run_upgrade(const Words& words) {
    if (!words.arguments.empty()) {
        upgrade(words, mount_of(words.arguments[0]));
        return 0;
    }
    // Of all mounts those that can, whatever becomes of another one.
    int code = 0;
    for (const Mount& mount : mounts_named({})) {
        try {
            if (ask(mount, "status")["can_be_followed"].is_true()) {
                upgrade(words, mount);
            } else {
                print(name_of(mount) + ": not without an umount, no other daemon can follow this one\n");
            }
        } catch (const Failure& failure) {
            std::cerr << "plyctl: " << shown(std::string(failure.what())) << "\n";
            code = 1;
        }
    }
    return code;
}

}  // namespace plyfs::ctl

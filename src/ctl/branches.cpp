// branch mode, branch add, branch remove: what changes the branches of a pool.
#include "config/branch_spec.h"
#include "config/error.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/next_daemon.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

// What it is asked is done by its next daemon, which has other branches then, or at once.
int change_branches(const Words& words, const Mount& mount, const Json& request) {
    const Changed changed = ask_for_change(mount, request);
    if (words.json) {
        print_line(changed.answer);
    } else if (changed.takes_over) {
        print(shown(mount.path) + ": " + branches_text(changed.answer) +
              " until it is unmounted; also change fstab or the configuration file for the next time\n");
    }
    return 0;
}

Json named(const Words& words) {
    Json out = Json::array();
    for (std::size_t i = 1; i < words.arguments.size(); ++i) out.push(words.arguments[i]);
    return out;
}

// As the mount has them, which need not be there any more.
Json paths(const Words& words) {
    Json out = Json::array();
    for (std::size_t i = 1; i < words.arguments.size(); ++i) out.push(branch_path(words.arguments[i]));
    return out;
}

}  // namespace

int run_branch_mode(const Words& words) {
    const Mount mount = mount_of(words.arguments[0]);
    try {
        config::parse_mode(words.arguments[2]);
    } catch (const config::BadValue& e) {
        throw Failure(e.what(), ExitCode::usage);
    }
    Json request;
    request.add("command", "branch-mode")
        .add("branch", branch_path(words.arguments[1]))
        .add("mode", words.arguments[2]);
    return change_branches(words, mount, request.add("force", words.force));
}

int run_branch_add(const Words& words) {
    const std::string here = real_path(".").value_or("/");
    for (std::size_t i = 1; i < words.arguments.size(); ++i) {
        try {
            config::parse_branch(words.arguments[i], here);
        } catch (const config::BadValue& e) {
            throw Failure(words.arguments[i] + ": " + e.what(), ExitCode::usage);
        }
    }
    Json request;
    request.add("command", "branch-add").add("branches", named(words)).add("base", here);
    request.add("first", words.first).add("force", words.force);
    return change_branches(words, mount_of(words.arguments[0]), request);
}

int run_branch_remove(const Words& words) {
    Json request;
    request.add("command", "branch-remove").add("branches", paths(words)).add("force", words.force);
    return change_branches(words, mount_of(words.arguments[0]), request);
}

}  // namespace plyfs::ctl

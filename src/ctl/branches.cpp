// branch mode, branch add, branch remove: what changes the branches of a pool.
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "config/branch_spec.h"
#include "config/error.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

using namespace std::chrono_literals;

// A daemon that takes over a million files is there within a second or two.
constexpr auto kMostWait = 60s;
// Until the kernel has forgotten what it knew of the branches before; not, where those now can not be watched.
constexpr auto kMostSettling = 2s;

using Branches = std::vector<std::pair<std::string, std::string>>;  // paths and modes

Branches branches_of(const Json& status) {
    Branches out;
    for (const Json& branch : status["branches"].items()) {
        out.emplace_back(branch["path"].text(), branch["mode"].text());
    }
    return out;
}

// How the mount is when another daemon serves it than the one of `before`, and has come to rest.
Json wait_for_next(const Mount& mount, const Json& before) {
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
        const auto waited = std::chrono::steady_clock::now() - began;
        try {
            Json now = ask(mount, "status");
            const bool settled = now["coherence"].text() == before["coherence"].text() || waited > kMostSettling;
            if (settled && now["takeovers"].number() > before["takeovers"].number()) return now;
        } catch (const Failure&) {
            if (waited > kMostWait) throw;
        }
        if (waited > kMostWait) throw Failure(shown(mount.path) + ": no other daemon has come; its log says why");
        std::this_thread::sleep_for(20ms);
    }
}

// What it is asked is done by its next daemon, which has other branches then, or at once.
int change_branches(const Words& words, const Mount& mount, const Json& request) {
    const Json before = ask(mount, "status");
    try {
        const Json answer = ask(mount, request, Patience::endless);
        if (words.json) print_line(answer);
        return 0;
    } catch (const Ended&) {
        log::debug("another daemon takes over");
    }
    const Json now = wait_for_next(mount, before);
    if (branches_of(now) == branches_of(before)) {
        throw Failure(shown(mount.path) +
                      ": the next daemon did not come to serve with them, the branches are as before; its log says "
                      "why");
    }
    if (words.json) {
        print_line(now);
    } else {
        print(shown(mount.path) + ": " + std::to_string(branches_of(now).size()) +
              " branches until it is unmounted; also change fstab or the configuration file for the next time\n");
    }
    return 0;
}

Json named(const Words& words) {
    Json out = Json::array();
    for (std::size_t i = 1; i < words.arguments.size(); ++i) out.push(words.arguments[i]);
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
    request.add("command", "branch-mode").add("branch", words.arguments[1]).add("mode", words.arguments[2]);
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
    request.add("command", "branch-remove").add("branches", named(words)).add("force", words.force);
    return change_branches(words, mount_of(words.arguments[0]), request);
}

}  // namespace plyfs::ctl

#include "ctl/next_daemon.h"

#include <signal.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/failure.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

using namespace std::chrono_literals;

// A daemon that takes over a million files is there within a second or two.
constexpr auto kMostWait = 60s;
// Until the kernel has forgotten what it knew of the branches before; not, where those now can not be watched.
constexpr auto kMostSettling = 2s;

constexpr auto kMostLeaving = 1s;

using Branches = std::vector<std::pair<std::string, std::string>>;  // paths and modes

Branches branches_of(const Json& status) {
    Branches out;
    for (const Json& branch : status["branches"].items()) {
        out.emplace_back(branch["path"].text(), branch["mode"].text());
    }
    return out;
}

bool is_gone(const Json& status) {
    const auto supervisor = static_cast<pid_t>(status["supervisor"].number());
    return supervisor > 0 && ::kill(supervisor, 0) != 0 && errno == ESRCH;
}

// How the mount is when a daemon later than `earlier` serves it, and has come to rest.
Json wait_for_next(const Mount& mount, const Json& before, std::uint64_t earlier) {
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
        const auto waited = std::chrono::steady_clock::now() - began;
        bool stays = false;
        try {
            Json now = ask(mount, "status");
            const bool settled = now["coherence"].text() == before["coherence"].text() || waited > kMostSettling;
            const bool follows = now["takeovers"].number() > earlier;
            if (settled && follows) return now;
            stays = !follows && waited > kMostLeaving;
        } catch (const Failure&) {
            if (waited > kMostWait) throw;
            if (waited > kMostSettling && is_gone(before)) throw;
        }
        // Who is to be followed leaves as soon as he has answered.
        if (stays)
            throw Failure(shown(mount.path) + ": the daemon could not leave, nothing is changed; its log says why");
        if (waited > kMostWait) throw Failure(shown(mount.path) + ": no other daemon has come; its log says why");
        std::this_thread::sleep_for(20ms);
    }
}

// Others may ask for changes, too: then the daemon that was asked leaves without an answer, or is about to leave.
Json ask_until_answered(const Mount& mount, const Json& request) {
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
        const bool patient = std::chrono::steady_clock::now() - began < kMostWait;
        try {
            return ask(mount, request, Patience::endless);
        } catch (const Ended&) {
            if (!patient) throw;
        } catch (const Busy&) {
            if (!patient) throw;
        }
        std::this_thread::sleep_for(20ms);
    }
}

}  // namespace

Changed ask_for_change(const Mount& mount, const Json& request) {
    const Json before = ask(mount, "status");
    Json answer = ask_until_answered(mount, request);
    if (!answer["takes_over"].is_true()) return {false, std::move(answer)};
    const std::uint64_t earlier = answer["takeovers"].number();
    Json now = wait_for_next(mount, before, earlier);
    // The one that could not was counted as well.
    if (now["takeovers"].number() > earlier + 1 && branches_of(now) == branches_of(before)) {
        throw Failure(shown(mount.path) +
                      ": the next daemon did not come to serve with them, the branches are as before; its log says "
                      "why");
    }
    return {true, std::move(now)};
}

std::string branches_text(const Json& status) {
    const std::size_t count = branches_of(status).size();
    return std::to_string(count) + (count == 1 ? " branch" : " branches");
}

}  // namespace plyfs::ctl

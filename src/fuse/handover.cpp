#include "fuse/handover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"

namespace plyfs::fuse {
namespace {

using namespace std::chrono_literals;

// What is under way may take so long; everybody else waits meanwhile.
constexpr auto kMostWait = 2s;
constexpr int kMostUpgrade = 20000;  // milliseconds
constexpr const char* kNoSupervisor =
    "the supervisor is gone, so no other daemon can take over; unmount and mount again";

bool wait_for_quiet(Server& server) {
    const auto latest = std::chrono::steady_clock::now() + kMostWait;
    // This thread is one of the executor's.
    while (!server.takeover.gate().is_empty() || !server.executor.is_idle_but_for(1)) {
        if (std::chrono::steady_clock::now() > latest) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

struct Found {
    int count = 0;
    std::string example;
    void add(const std::string& name) {
        if (count++ == 0) example = log::in_one_line(name);
    }
};

struct Losses {
    Found nameless;
    Found leaving;
    Found sealed;
};

bool has(const std::vector<std::string>& paths, const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

// The next daemon finds open files by their names.
Losses find_losses(ops::Context& ctx, const OpenLedger& ledger, const control::Succession& to) {
    Losses out;
    for (const auto& open : ledger.open_now()) {
        const NodeRef node = ctx.tree.nodes().find(open.record.open.id);
        if (!node || open.closing) continue;
        LockedNode state(*node);
        const bool named = !state->unlinked && !state->pinned_while_open && !state->links.empty();
        if (!named) {
            out.nameless.add(fmt::format("inode {}", state->shown_inode));
            continue;
        }
        const std::string& at = ctx.tree.set().at(state->winner).path();
        const bool writes = (open.record.open.flags & O_ACCMODE) != O_RDONLY;
        if (has(to.leaving, at)) out.leaving.add(state->links[0].name);
        if (has(to.sealed, at) && writes) out.sealed.add(state->links[0].name);
    }
    return out;
}

std::string losses_text(const Losses& losses) {
    std::vector<std::string> parts;
    const auto tell = [&](const Found& found, const char* what) {
        if (found.count > 0) parts.push_back(fmt::format("{} {}, such as {}", found.count, what, found.example));
    };
    tell(losses.leaving, "open on a branch that leaves");
    tell(losses.sealed, "open for writing on a branch that becomes read-only");
    tell(losses.nameless, "open that have no name any more");
    return fmt::format("{}", fmt::join(parts, "; "));
}

// The supervisor says so when it is another program, which starts the next daemon.
std::string upgrade(const Supervision& supervision) {
    pollfd answered{supervision.line.get(), POLLIN, 0};
    if (!sys::send_word(supervision.line, kUpgrade)) return kNoSupervisor;
    if (::poll(&answered, 1, kMostUpgrade) != 1) return "the supervisor does not answer";
    const auto word = sys::receive_word(supervision.line);
    if (!word || !*word) return kNoSupervisor;
    if ((*word)->word == kUpgrade) return {};
    return "the program that is installed by now does not go on with this mount, its log says why; nothing is changed";
}

std::string prepare(Server& server, const control::Succession& to) {
    if (!wait_for_quiet(server)) {
        if (!to.force) return "requests that take long are under way; nothing is changed, try again later or force it";
        log::warn("requests that take long are left to the next daemon");
    }
    const auto losses = losses_text(find_losses(server.ctx, server.takeover.supervision()->ledger, to));
    if (losses.empty()) return {};
    if (!to.force) return "files are open that would be lost: " + losses + ": close them, or force it";
    log::warn("open files are lost: {}", losses);
    return {};
}

}  // namespace

std::string hand_over(Server& server, const control::Succession& to) {
    Supervision& supervision = *server.takeover.supervision();
    const bool alone = !server.hands_over.exchange(true);
    if (!alone) return "another change is under way; try again";
    Gate& gate = server.takeover.gate();
    std::string why = to.upgrade ? upgrade(supervision) : "";
    if (why.empty()) gate.close();
    if (why.empty()) why = prepare(server, to);
    if (why.empty() && !to.upgrade && !supervision.ledger.amend(to.amendments.write(), OpenLedger::Amendment::trial)) {
        why = "there is no room to tell the next daemon of so many branches";
    }
    if (why.empty() && !sys::send_word(supervision.line, kNext)) {
        supervision.ledger.revert();
        why = kNoSupervisor;
    }
    if (why.empty()) {
        log::info("another daemon takes over, {}",
                  to.upgrade ? "of the program as it is installed by now" : "with the branches that were asked for");
        ::_exit(0);
    }
    gate.open();
    server.hands_over.store(false);
    return why;
}

}  // namespace plyfs::fuse

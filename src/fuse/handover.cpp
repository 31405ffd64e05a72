#include "fuse/handover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "control/branch_change.h"
#include "sys/stat.h"

namespace plyfs::fuse {
namespace {

using namespace std::chrono_literals;

// What is under way may take so long; everybody else waits meanwhile.
constexpr auto kMostWait = 2s;
constexpr auto kMostTelling = 500ms;
constexpr auto kMostClosing = 500ms;
constexpr auto kMostReading = 500ms;
constexpr auto kPause = 5ms;
constexpr int kMostUpgrade = 20000;  // milliseconds
constexpr const char* kNoSupervisor =
    "the supervisor is gone, so no other daemon can take over; unmount and mount again";

// A thread that tells the kernel something may wait for who waits at the gate.
void close_gate(Server& server) {
    if (server.changes) server.changes->hold(std::chrono::steady_clock::now() + kMostTelling);
    server.takeover.gate().close();
}

void open_gate(Server& server) {
    server.takeover.gate().open();
    if (server.changes) server.changes->release();
}

bool wait_for_quiet(Server& server, std::chrono::steady_clock::time_point latest) {
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
    Found hidden;
    int half_read = 0;
    int open() const { return nameless.count + leaving.count + sealed.count + hidden.count; }
};

bool has(const std::vector<std::string>& paths, const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

// Where a name of `winner` may be found first by the next daemon, and is not by this one: on the branches that come
// before it from then on, or on any new one where others than the first may answer. Those that hang are not looked at.
std::vector<std::string> newly_ahead(ops::Context& ctx, const control::Succession& to, const Branch& winner) {
    std::vector<std::string> out;
    if (to.upgrade || !to.amendments.branches) return out;
    const bool first_wins = ctx.tree.pool().policies.of(config::Function::getattr) == config::Policy::ff;
    std::vector<std::string> known;
    for (const auto& branch : ctx.tree.set().all()) {
        const bool behind = branch->index() > winner.index();
        if (!first_wins || !behind || branch->hangs()) known.push_back(branch->path());
    }
    for (const auto& branch : *to.amendments.branches) {
        if (first_wins && branch.path == winner.path()) break;
        if (!has(known, branch.path)) out.push_back(branch.path);
    }
    return out;
}

// ENOTDIR: something on the way there is no directory.
bool is_hidden_by(const std::string& branch, const std::string& path) {
    const auto there = sys::stat_path((branch + path).c_str());
    return there || there.failed_with(ENOTDIR);
}

// The next daemon finds open files by their names.
Losses find_losses(ops::Context& ctx, const OpenLedger& ledger, const control::Succession& to) {
    Losses out;
    out.half_read = ctx.half_read.load();
    for (const auto& open : ledger.open_now()) {
        const NodeRef node = ctx.tree.nodes().find(open.record.open.id);
        if (!node || open.closing) continue;
        const auto path = ctx.tree.path_of(node);
        LockedNode state(*node);
        const bool named = path && !state->unlinked && !state->pinned_while_open && !state->links.empty();
        if (!named) {
            out.nameless.add(fmt::format("inode {} (lsof +L1 shows whose)", state->shown_inode));
            continue;
        }
        const Branch& winner = ctx.tree.set().at(state->winner);
        const bool writes = (open.record.open.flags & O_ACCMODE) != O_RDONLY;
        if (has(to.leaving, winner.path())) out.leaving.add(*path);
        if (has(to.sealed, winner.path()) && writes) out.sealed.add(*path);
        for (const auto& branch : newly_ahead(ctx, to, winner)) {
            if (is_hidden_by(branch, *path)) out.hidden.add(*path);
        }
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
    tell(losses.hidden, "open that another file hides then");
    tell(losses.nameless, "open that have no name any more");
    if (losses.half_read > 0) parts.push_back(fmt::format("{} directories read in part", losses.half_read));
    return fmt::format("{}", fmt::join(parts, "; "));
}

constexpr const char* kNotThatProgram =
    "the program that is installed by now does not go on with this mount, its log says why; nothing is changed";
constexpr const char* kNotThisProgram =
    "this program would not go on with the mount: it can not be started again, or its command line and configuration "
    "are not what they were; nothing is changed";

// The supervisor says so when it is another program, which starts the next daemon.
std::string upgrade_supervisor(const Supervision& supervision) {
    pollfd answered{supervision.line.get(), POLLIN, 0};
    if (!sys::send_word(supervision.line, kUpgrade)) return kNoSupervisor;
    if (::poll(&answered, 1, kMostUpgrade) != 1) return "the supervisor does not answer";
    const auto word = sys::receive_word(supervision.line);
    if (!word || !*word) return kNoSupervisor;
    return (*word)->word == kUpgrade ? "" : kNotThatProgram;
}

// Who is to start the next daemon is asked while this one serves.
std::string find_starter(const Supervision& supervision, bool installed) {
    if (supervision.is_supervised()) return installed ? upgrade_supervisor(supervision) : "";
    if (!supervision.late->start(installed)) return installed ? kNotThatProgram : kNotThisProgram;
    return {};
}

void stay(Server& server) {
    if (LateStart* late = server.takeover.supervision()->late) late->dismiss();
    server.takeover.readers().let_go();
    open_gate(server);
    server.has_answered.store(false);
    server.hands_over.store(false);
}

// What is under way may end, a listing be read to its end, and what was closed be heard of (the kernel tells it later,
// and to the gate), if it goes on for a moment.
std::string prepare(Server& server, const control::Succession& to) {
    const auto began = std::chrono::steady_clock::now();
    const auto latest = began + kMostWait;
    Losses losses;
    for (;;) {
        close_gate(server);
        const bool quiet = wait_for_quiet(server, latest);
        if (!quiet && !to.force) {
            return "requests that take long are under way; nothing is changed, try again later or force it";
        }
        if (!quiet) log::warn("requests that take long are left to the next daemon");
        losses = find_losses(server.ctx, server.takeover.supervision()->ledger, to);
        const auto enough = losses.open() > 0 ? began + kMostClosing : latest;
        if (losses.open() + losses.half_read == 0 || std::chrono::steady_clock::now() > enough) break;
        open_gate(server);
        std::this_thread::sleep_for(kPause);
    }
    // Among the same branches places mean the same, as long as no names have come or gone before them.
    if (to.upgrade) losses.half_read = 0;
    const std::string text = losses_text(losses);
    if (!text.empty() && !to.force) return "what is open would be lost: " + text + ": close it, or force it";
    if (!text.empty()) log::warn("what is open is lost: {}", text);
    if (to.upgrade) return {};
    const bool kept = server.takeover.supervision()->ledger.amend(to.amendments.write(), OpenLedger::Amendment::trial);
    return kept ? "" : "there is no room to tell the next daemon of so many branches";
}

}  // namespace

std::string hand_over(Server& server, const control::Succession& to) {
    if (server.hands_over.exchange(true)) return control::kAnotherChange;
    std::string why = find_starter(*server.takeover.supervision(), to.upgrade);
    if (why.empty()) why = prepare(server, to);
    if (why.empty()) {
        log::info("another daemon takes over: {}",
                  to.upgrade ? "of the program as it is installed by now"
                             : "its branches are " + control::text_of(*to.amendments.branches));
        return why;
    }
    stay(server);
    return why;
}

void leave_to_next(Server& server) {
    const Supervision& supervision = *server.takeover.supervision();
    std::string why;
    if (!server.takeover.readers().hold(kMostReading)) log::debug("a request is still being read");
    if (supervision.is_supervised()) {
        if (!sys::send_word(supervision.line, kNext)) why = kNoSupervisor;
    } else {
        why = server.leave_late();
    }
    if (why.empty()) ::_exit(0);
    log::error("{}", why);
    server.takeover.supervision()->ledger.revert();
    stay(server);
}

}  // namespace plyfs::fuse

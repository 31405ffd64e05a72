#include "app/late_supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/supervise.h"
#include "base/log.h"
#include "sys/process.h"
#include "sys/service_manager.h"

namespace plyfs::app {
namespace {

constexpr int kMostEnd = 5000;     // milliseconds
constexpr int kMostStart = 10000;  // milliseconds

// As at the start of a program, and not as in a thread: who is ended while it waits leaves the daemon as it is.
void unblock_signals() {
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

// Who waits for a process in the foreground would take its end for that of the mount, if he can not be told.
bool may_end(const config::Config& config) {
    return !config.foreground || ::getenv("NOTIFY_SOCKET") != nullptr;
}

}  // namespace

std::unique_ptr<LateSupervisor> LateSupervisor::make(const config::Config& config, std::optional<Program> program,
                                                     const std::string& amendments) {
    const bool can_follow = !config.drop_in && config.locks != config::Locks::forward &&
                            config.transport != config::Transport::io_uring && may_end(config);
    if (!can_follow || !program) return nullptr;
    auto opens = sys::SharedMemory::make(fuse::OpenLedger::bytes());
    auto names = sys::SharedMemory::make(ToldNames::bytes());
    if (!opens || !names) {
        log::debug("no other daemon can follow this one: {}", log::errno_text((opens ? names : opens).error().value()));
        return nullptr;
    }
    std::unique_ptr<LateSupervisor> out(new LateSupervisor(std::move(*program), std::move(*opens), std::move(*names)));
    fuse::OpenLedger& ledger = out->supervision_.ledger;
    ledger.next_instance();
    ledger.set_answered(true);
    ledger.amend(amendments, fuse::OpenLedger::Amendment::proven);
    out->supervision_.late = out.get();
    return out;
}

LateSupervisor::LateSupervisor(Program program, sys::SharedMemory opens, sys::SharedMemory names)
    : program_(std::move(program)),
      opens_(std::move(opens)),
      names_(std::move(names)),
      supervision_(opens_.data(), names_.data()) {}

// In the child.
void LateSupervisor::execute(bool installed, UniqueFd line) {
    SupervisorState state;
    state.version = fuse::kTakeoverVersion;
    state.opens = std::move(opens_.descriptor());
    state.names = std::move(names_.descriptor());
    state.line = std::move(line);
    state.cwd = program_.cwd;
    state.path = program_.path;
    unblock_signals();
    const Errno why = installed ? become(program_, state) : become_anew(program_.argv, state);
    log::error("{} can not be executed: {}", program_.path, log::errno_text(why.value()));
    ::_exit(1);
}

bool LateSupervisor::start(bool installed) {
    auto line = sys::make_message_pair();
    if (!line) return false;
    pid_ = ::fork();
    if (pid_ == 0) execute(installed, std::move(line->child));
    line->child.reset();
    line_ = std::move(line->parent);
    pollfd said{line_.get(), POLLIN, 0};
    if (pid_ > 0 && ::poll(&said, 1, kMostStart) == 1) {
        const auto word = sys::receive_word(line_);
        if (word && *word && (*word)->word == fuse::kServes) return true;
    }
    dismiss();
    return false;
}

std::string LateSupervisor::leave(const std::vector<BorrowedFd>& connection) {
    const auto sent = sys::send_word(line_, fuse::kKeep, connection);
    if (!sent) return "the supervisor that was started is gone: " + log::errno_text(sent.error().value());
    if (auto told = sys::tell_service_manager(fmt::format("MAINPID={}", pid_)); !told) {
        log::warn("the service manager can not be told of another process: {}", log::errno_text(told.error().value()));
    }
    return {};
}

void LateSupervisor::dismiss() {
    line_.reset();
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

namespace {

bool wait_for(BorrowedFd line, int milliseconds) {
    pollfd wanted{line.get(), POLLIN, 0};
    int ready;
    while ((ready = ::poll(&wanted, 1, milliseconds)) < 0 && errno == EINTR) {
    }
    return ready > 0;
}

}  // namespace

bool wait_for_daemon(SupervisorState& state) {
    if (!sys::send_word(state.line, fuse::kServes)) return false;
    wait_for(state.line, -1);
    const sigset_t blocked = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    auto word = sys::receive_word(state.line);
    if (!word || !*word || (*word)->word != fuse::kKeep) return false;
    state.device = std::move((*word)->descriptors[0]);
    state.abort = std::move((*word)->descriptors[1]);
    // As long as that daemon is there its threads may read requests, which nobody would answer once the kernel was
    // asked to send those again that were under way. The line ends with it, unless one of them hangs on a branch.
    if (!wait_for(state.line, kMostEnd)) log::warn("the daemon before does not end; what it reads now waits for ever");
    state.line.reset();
    return state.device.valid();
}

}  // namespace plyfs::app

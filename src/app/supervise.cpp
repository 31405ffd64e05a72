#include "app/supervise.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/log.h"
#include "sys/process.h"
#include "sys/shared_memory.h"

namespace plyfs::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kHandled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
constexpr int kExitSystem = 2;
// A daemon that dies sooner than that after its start has not served anybody, and after so many in a row none will.
constexpr std::chrono::seconds kShort{1};
constexpr int kMostShort = 5;
// A daemon that can not take over may do so later: when a layer is there again, or memory.
constexpr std::chrono::seconds kRetry{1};
constexpr int kMostRetries = 60;
// What a daemon that was killed may take to be gone, before it is taken for deaf.
constexpr std::chrono::seconds kDeafAfter{2};
// Handles tell by 16 bits which daemon gave them out.
constexpr std::uint32_t kMostInstances = 0xffff;

sys::SharedMemory make_memory(std::size_t size, UniqueFd left) {
    auto made = left.valid() ? sys::SharedMemory::map(std::move(left), size) : sys::SharedMemory::make(size);
    if (!made) throw std::runtime_error("supervise=on: shared memory: " + log::errno_text(made.error().value()));
    return std::move(*made);
}

class Supervisor {
  public:
    explicit Supervisor(Supervised supervised)
        : supervised_(std::move(supervised)),
          opens_(make_memory(fuse::OpenLedger::bytes(), take(&SupervisorState::opens))),
          names_(make_memory(ToldNames::bytes(), take(&SupervisorState::names))),
          ledger_(opens_.data()) {
        ::signal(SIGPIPE, SIG_IGN);  // who waits for the first daemon may be gone before we are heard
        ::pthread_sigmask(SIG_BLOCK, &handled_, &before_);
        signals_.reset(::signalfd(-1, &handled_, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!signals_.valid()) throw std::runtime_error("signalfd: " + log::errno_text(errno));
        if (supervised_.left) {
            adopt(*supervised_.left);
        } else {
            ledger_.amend(supervised_.amendments, fuse::OpenLedger::Amendment::proven);
        }
    }

    int run() {
        for (;;) {
            if (pid_ == 0) {
                if (const auto code = start()) return *code;
            }
            if (const auto code = watch()) return *code;
            pid_ = 0;
        }
    }

  private:
    UniqueFd take(UniqueFd SupervisorState::*which) {
        return supervised_.left ? std::move((*supervised_.left).*which) : UniqueFd();
    }

    // The signals were blocked by the program before, and its daemon serves.
    void adopt(SupervisorState& left) {
        for (int which : kHandled) ::sigdelset(&before_, which);
        device_ = std::move(left.device);
        abort_ = std::move(left.abort);
        line_ = std::move(left.line);
        pid_ = left.daemon;
        serves_ = pid_ != 0;
        started_ = Clock::now();
        if (!left.came_back) earlier_ = std::move(left.before);
        if (pid_ == 0) return;
        if (!sys::send_word(line_, left.came_back ? fuse::kStays : fuse::kUpgrade)) log::debug("nobody waits for it");
    }

    SupervisorState leave() {
        SupervisorState state;
        state.version = fuse::kTakeoverVersion;
        state.opens = std::move(opens_.descriptor());
        state.names = std::move(names_.descriptor());
        state.device = std::move(device_);
        state.abort = std::move(abort_);
        state.line = std::move(line_);
        state.daemon = pid_;
        state.cwd = supervised_.program->cwd;
        state.path = supervised_.program->path;
        return state;
    }

    void stay(SupervisorState state) {
        opens_.descriptor() = std::move(state.opens);
        names_.descriptor() = std::move(state.names);
        device_ = std::move(state.device);
        abort_ = std::move(state.abort);
        line_ = std::move(state.line);
    }

    void upgrade() {
        if (supervised_.program && would_go_on(*supervised_.program, fuse::kTakeoverVersion)) {
            log::info("becoming {} as it is by now", supervised_.program->path);
            SupervisorState state = leave();
            const Errno why = become(*supervised_.program, state);
            stay(std::move(state));
            log::error("{} can not be executed: {}", supervised_.program->path, log::errno_text(why.value()));
        } else {
            log::error(
                "{} would not go on with this mount: it can not be started, does not take this command line, or is "
                "too different; unmount and mount again for it",
                supervised_.program ? supervised_.program->path : "the program");
        }
        if (!sys::send_word(line_, fuse::kStays)) log::debug("nobody waits for it");
    }

    // To the program whose daemon has served last; does not return then.
    void become_earlier() {
        if (serves_ || !earlier_.valid() || !device_.valid() || ends_) return;
        log::warn("the daemon of this program did not come to serve; the program before goes on");
        pid_ = 0;
        line_.reset();
        SupervisorState state = leave();
        state.before = std::move(earlier_);
        const Errno why = become_earlier_program(supervised_.program->argv, state);
        stay(std::move(state));
        log::error("the program before can not be executed: {}", log::errno_text(why.value()));
    }

    // In the child its exit code.
    std::optional<int> start() {
        ledger_.next_instance();
        auto line = sys::make_message_pair();
        if (!line) return give_up("a daemon can not be started: " + log::errno_text(line.error().value()));
        started_ = Clock::now();
        killed_.reset();
        serves_ = next_ = false;
        pid_ = ::fork();
        if (pid_ < 0) return give_up("a daemon can not be started: " + log::errno_text(errno));
        if (pid_ == 0) {
            line->parent.reset();
            return serve(std::move(line->child));
        }
        line_ = std::move(line->parent);
        return std::nullopt;
    }

    int serve(UniqueFd line) {
        signals_.reset();
        line_.reset();
        abort_.reset();
        earlier_.reset();
        opens_.descriptor().reset();
        names_.descriptor().reset();
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        fuse::Supervision supervision(opens_.data(), names_.data());
        if (device_.valid()) supervision.told.resume();
        supervision.device = std::move(device_);
        supervision.line = std::move(line);
        if (!supervision.takes_over()) return supervised_.daemon(supervision);
        try {
            return supervised_.daemon(supervision);
        } catch (const std::exception& error) {  // nobody is at the terminal any more
            log::error("{}", error.what());
            return kExitSystem;
        }
    }

    // Until the daemon has ended; none: another one is to be started.
    std::optional<int> watch() {
        for (;;) {
            pollfd wanted[] = {{signals_.get(), POLLIN, 0}, {line_.get(), POLLIN, 0}};
            if (::poll(wanted, 2, killed_ ? 100 : -1) < 0 && errno != EINTR) return give_up("poll fails");
            if (wanted[1].revents != 0) hear();
            if (wanted[0].revents != 0) take_signals();
            if (const auto status = ended()) return after_end(*status);
            if (killed_ && Clock::now() - *killed_ > kDeafAfter) {
                if (next_ && !ends_) return std::nullopt;
                log::warn("the daemon was killed and is deaf to it: it waits for whom the next one will answer");
                return after_death("a kill");
            }
        }
    }

    void hear() {
        auto word = sys::receive_word(line_);
        if (!word || !*word) return line_.reset();
        switch ((*word)->word) {
            case fuse::kKeep:
                device_ = std::move((*word)->descriptors[0]);
                abort_ = std::move((*word)->descriptors[1]);
                break;
            case fuse::kServes:
                if (!ledger_.answered()) supervised_.on_ready();
                ledger_.set_answered(true);
                ledger_.settle();
                serves_ = true;
                retries_ = 0;
                earlier_.reset();
                break;
            case fuse::kUpgrade:
                upgrade();
                break;
            case fuse::kNext:
                next_ = true;
                killed_ = Clock::now();  // it may wait for a branch and not end
                break;
            case fuse::kEnds:
                ends_ = true;
                device_.reset();
                abort_.reset();
                if (!sys::send_word(line_, fuse::kEnds)) log::debug("the daemon does not wait to be heard");
                break;
            case fuse::kKilled:
                killed_ = Clock::now();
                break;
            default:
                break;
        }
    }

    void take_signals() {
        constexpr timespec kNow{0, 0};
        for (int which; (which = ::sigtimedwait(&handled_, nullptr, &kNow)) > 0;) {
            if (which == SIGCHLD) continue;
            ends_ = true;
            ::kill(pid_, which);
        }
    }

    // Of the daemon; others are deaf ones of before.
    std::optional<int> ended() {
        std::optional<int> out;
        int status;
        for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == pid_) out = status;
        }
        return out;
    }

    std::optional<int> after_end(int status) {
        // What it said last.
        pollfd said{line_.get(), POLLIN, 0};
        while (line_.valid() && ::poll(&said, 1, 0) == 1 && (said.revents & POLLIN) != 0) hear();
        become_earlier();
        if (WIFEXITED(status) && next_ && !ends_) short_ = 0;
        if (WIFEXITED(status) && ((next_ && !ends_) || go_back())) return std::nullopt;
        if (WIFEXITED(status)) return can_try_again() ? try_later() : WEXITSTATUS(status);
        const int by = WTERMSIG(status);
        if (ends_ || by == SIGTERM || by == SIGINT || by == SIGHUP) return end_connection();
        return after_death("signal " + std::to_string(by));
    }

    // Somebody waits for the mount, and no daemon of it has come to serve.
    bool can_try_again() {
        if (serves_ || ends_ || !ledger_.answered() || !device_.valid()) return false;
        pollfd connection{device_.get(), 0, 0};
        return ::poll(&connection, 1, 0) == 0;  // POLLERR: unmounted meanwhile
    }

    std::optional<int> try_later() {
        if (++retries_ > kMostRetries) return give_up("no daemon comes to serve");
        if (retries_ == 1) log::warn("the daemon did not come to serve; it is tried again for a minute");
        const timespec pause{kRetry.count(), 0};
        const auto latest = Clock::now() + kRetry;
        while (Clock::now() < latest && !ends_) {
            const int which = ::sigtimedwait(&handled_, nullptr, &pause);
            ends_ = which > 0 && which != SIGCHLD;
        }
        return ends_ ? std::optional<int>(end_connection()) : std::nullopt;
    }

    // From a change of the mount with which a daemon did not come to serve.
    bool go_back() {
        if (serves_ || ends_ || !device_.valid() || !ledger_.revert()) return false;
        log::warn("the daemon did not serve with what was changed; another one takes over with what was before");
        return true;
    }

    // Each start is counted that did not come to anything.
    std::optional<int> after_death(const std::string& of) {
        if (go_back()) return std::nullopt;
        if (!ledger_.answered() || !device_.valid()) return give_up("the daemon died of " + of + " before it served");
        short_ = Clock::now() - started_ < kShort ? short_ + 1 : 0;
        if (short_ >= kMostShort || ledger_.instance() >= kMostInstances) {
            return give_up("the daemon died of " + of + " as soon as it was started, again and again");
        }
        log::warn("the daemon died of {}; another one takes over", of);
        return std::nullopt;
    }

    int end_connection() {
        if (abort_.valid() && !sys::send_byte(abort_)) log::debug("the connection has ended");
        device_.reset();
        return ends_ ? 0 : kExitSystem;
    }

    int give_up(const std::string& why) {
        log::error("{}; the mount answers no more", why);
        end_connection();
        return kExitSystem;
    }

    Supervised supervised_;
    sys::SharedMemory opens_;
    sys::SharedMemory names_;
    fuse::OpenLedger ledger_;
    const sigset_t handled_ = handled_signals();
    sigset_t before_;
    UniqueFd signals_;
    UniqueFd line_;
    UniqueFd device_;
    UniqueFd abort_;
    UniqueFd earlier_;  // the program before this one, until a daemon of this one serves
    pid_t pid_ = 0;     // of the daemon; 0: there is none
    Clock::time_point started_;
    std::optional<Clock::time_point> killed_;
    int short_ = 0;
    int retries_ = 0;
    bool ends_ = false;
    bool serves_ = false;  // the daemon that there is
    bool next_ = false;    // it has asked for another one
};

}  // namespace

sigset_t handled_signals() {
    sigset_t out;
    ::sigemptyset(&out);
    for (int which : kHandled) ::sigaddset(&out, which);
    return out;
}

int supervise(Supervised supervised) {
    Supervisor supervisor(std::move(supervised));
    return supervisor.run();
}

}  // namespace plyfs::app

#include "app/supervisor_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

#include "sys/process.h"

namespace plyfs::app {
namespace {

using namespace std::chrono_literals;

constexpr const char* kLeft = "PLYFS_SUPERVISOR_STATE";
constexpr const char* kAsked = "PLYFS_SUPERVISOR_QUESTION";
constexpr auto kMostAnswer = 10s;

// A variable of the environment, which no child is to have.
std::optional<std::string> take_variable(const char* name) {
    const char* found = ::getenv(name);
    if (!found) return std::nullopt;
    std::string out = found;
    ::unsetenv(name);
    return out;
}

std::vector<UniqueFd*> descriptors(SupervisorState& state) {
    return {&state.opens, &state.names, &state.device, &state.abort, &state.line, &state.before};
}

void keep_open(SupervisorState& state, bool keep) {
    for (const UniqueFd* fd : descriptors(state)) {
        if (fd->valid()) ::fcntl(fd->get(), F_SETFD, keep ? 0 : FD_CLOEXEC);
    }
}

std::string text_of(SupervisorState& state) {
    std::string out = fmt::format("{} {} {}", state.version, state.daemon, state.came_back ? 1 : 0);
    for (const UniqueFd* fd : descriptors(state)) out += fmt::format(" {}", fd->get());
    return out + fmt::format(" {} {}{}", state.cwd.size(), state.cwd, state.path);
}

std::vector<char*> words_of(const std::vector<std::string>& argv) {
    std::vector<char*> out;
    for (const auto& word : argv) out.push_back(const_cast<char*>(word.c_str()));
    out.push_back(nullptr);
    return out;
}

template <typename Execute>
Errno leave_state(SupervisorState& state, Execute execute) {
    if (::setenv(kLeft, text_of(state).c_str(), 1) != 0) return Errno::last();
    keep_open(state, true);
    execute();
    const Errno why = Errno::last();
    keep_open(state, false);
    ::unsetenv(kLeft);
    return why;
}

[[noreturn]] void ask(const Program& program, std::uint32_t version) {
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    if (!sys::drop_standard_streams()) ::_exit(1);
    ::setenv(kAsked, fmt::format("{} {}", version, program.cwd).c_str(), 1);
    ::execv(program.path.c_str(), words_of(program.argv).data());
    ::_exit(1);
}

}  // namespace

std::optional<Program> find_program(const std::vector<std::string>& argv, const std::string& cwd) {
    auto path = sys::own_program();
    if (!path) return std::nullopt;
    return Program{std::move(*path), argv, cwd};
}

std::optional<SupervisorState> take_state() {
    const auto text = take_variable(kLeft);
    if (!text) return std::nullopt;
    std::istringstream in(*text);
    SupervisorState state;
    int came_back = 0;
    in >> state.version >> state.daemon >> came_back;
    for (UniqueFd* fd : descriptors(state)) {
        int number = -1;
        in >> number;
        fd->reset(number);
    }
    std::size_t length = 0;
    in >> length;
    in.get();
    std::string both;
    std::getline(in, both, '\0');
    state.cwd = both.substr(0, length);
    state.path = both.substr(std::min(length, both.size()));
    state.came_back = came_back != 0;
    keep_open(state, false);
    return state;
}

Errno become(const Program& program, SupervisorState& state) {
    auto before = sys::open_own_program();
    if (!before) return before.error();
    state.before = std::move(*before);
    return leave_state(state, [&] { ::execv(program.path.c_str(), words_of(program.argv).data()); });
}

Errno become_anew(const std::vector<std::string>& argv, SupervisorState& state) {
    auto own = sys::open_own_program();
    if (!own) return own.error();
    return leave_state(state, [&] { ::fexecve(own->get(), words_of(argv).data(), environ); });
}

Errno become_earlier_program(const std::vector<std::string>& argv, SupervisorState& state) {
    state.came_back = true;
    return leave_state(state, [&] { ::fexecve(state.before.get(), words_of(argv).data(), environ); });
}

bool would_go_on(const Program& program, std::uint32_t version) {
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) ask(program, version);
    const auto latest = std::chrono::steady_clock::now() + kMostAnswer;
    int status = 0;
    for (pid_t ended; (ended = ::waitpid(child, &status, WNOHANG)) != child;) {
        if (ended < 0 && errno != EINTR) return false;
        if (std::chrono::steady_clock::now() > latest) ::kill(child, SIGKILL);
        std::this_thread::sleep_for(10ms);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == kWouldGoOn;
}

std::optional<Question> take_question() {
    const auto text = take_variable(kAsked);
    if (!text) return std::nullopt;
    const std::size_t blank = text->find(' ');
    return Question{static_cast<std::uint32_t>(std::strtoul(text->c_str(), nullptr, 10)), text->substr(blank + 1)};
}

}  // namespace plyfs::app

#include "sys/call_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "scratch.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

// In a process of its own, as there is no way back.
int code_of(const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// 0, or the errno.
int outcome(long result) {
    return result < 0 ? errno : 0;
}

int execute() {
    char name[] = "/bin/true", *words[] = {name, nullptr};
    return outcome(::execv(name, words));
}

int set_clock() {
    timeval now{};
    ::gettimeofday(&now, nullptr);
    return outcome(::settimeofday(&now, nullptr));
}

struct Case {
    const char* what;
    int (*call)();
    int expected;
};
constexpr Case kCases[] = {
    {"starting a program", execute, EPERM},
    {"a connection", [] { return outcome(::socket(AF_INET, SOCK_STREAM, 0)); }, EPERM},
    {"tracing", [] { return outcome(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }, EPERM},
    {"the clock", set_clock, EPERM},
    {"another root", [] { return outcome(::chroot("/")); }, EPERM},
    {"a namespace", [] { return outcome(::unshare(CLONE_NEWNS)); }, EPERM},
    {"a process in another one", [] { return outcome(::syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0)); },
     EPERM},
    {"a umask of its own", [] { return outcome(::unshare(CLONE_FS)); }, 0},
    {"a local socket", [] { return outcome(::socket(AF_UNIX, SOCK_STREAM, 0)); }, 0},
    {"a file", [] { return outcome(::open("/proc/self/status", O_RDONLY)); }, 0},
    {"a thread", [] { return std::thread([] {}).join(), 0; }, 0},
};

}  // namespace

TEST_CASE("call filter: what a daemon does not need is given up, the rest goes on") {
    for (const Case& one : kCases) {
        INFO(one.what);
        CHECK(code_of([&] { return sys::give_up_other_calls(false) ? one.call() : 200; }) == one.expected);
    }
}

TEST_CASE("call filter: threads that are there have it too") {
    CHECK(code_of([] {
              std::atomic<int> state = 0;
              int seen = 0;
              std::thread other([&] {
                  while (state == 0) std::this_thread::yield();
                  seen = execute();
              });
              const bool done = sys::give_up_other_calls(false).has_value();
              state = 1;
              other.join();
              return done ? seen : 200;
          }) == EPERM);
}

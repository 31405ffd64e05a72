#include "support/run.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "support/check.h"
#include "support/sandbox.h"

namespace plyfs::test {
namespace {

constexpr int kTimeUp = 124;

int wait_for(pid_t pid, int seconds) {
    int code = -1;
    int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    pollfd p{pidfd, POLLIN, 0};
    int ready = ::poll(&p, 1, seconds * 1000);
    if (ready == 0) {
        ::kill(pid, SIGKILL);
        code = kTimeUp;
    }
    ::close(pidfd);
    int status = 0;
    while (::waitpid(pid, &status, 0) == -1 && errno == EINTR) {
    }
    if (code == kTimeUp) return code;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

pid_t start(const std::function<int()>& fn) {
    std::fflush(nullptr);
    pid_t pid = ::fork();
    if (pid != 0) return OK(pid);
    int code = 125;
    try {
        code = fn();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "child: %s\n", e.what());
    } catch (...) {
        std::fprintf(stderr, "child: an assertion failed\n");
    }
    std::fflush(nullptr);
    ::_exit(code);
}

std::string drain(int fd) {
    std::string text;
    char buffer[4096];
    for (off_t at = 0;;) {
        ssize_t n = ::pread(fd, buffer, sizeof buffer, at);
        if (n <= 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
        at += n;
    }
    ::close(fd);
    return text;
}

}  // namespace

Ran run(const std::vector<std::string>& argv, int seconds, const std::vector<std::string>& more_environment,
        const std::function<void()>& before) {
    Ran ran;
    int out = OK(::memfd_create("stdout", MFD_CLOEXEC)), err = OK(::memfd_create("stderr", MFD_CLOEXEC));
    pid_t pid = start([&] {
        std::vector<char*> args;
        for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
        args.push_back(nullptr);
        for (const std::string& variable : more_environment) ::putenv(const_cast<char*>(variable.c_str()));
        int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::dup2(in, 0);
        ::dup2(out, 1);
        ::dup2(err, 2);
        if (before) before();
        ::execvp(args[0], args.data());
        std::fprintf(stderr, "can not run %s: %s\n", args[0], errno_words(errno).c_str());
        return 127;
    });
    ran.code = wait_for(pid, seconds);
    ran.out = drain(out);
    ran.err = drain(err);
    return ran;
}

Ran shell(const std::string& script, int seconds) {
    return run({"sh", "-c", script}, seconds);
}

Ran must_run(const std::vector<std::string>& argv, int seconds) {
    Ran ran = run(argv, seconds);
    std::string command;
    for (const std::string& arg : argv) command += arg + " ";
    INFO(command, "exit code ", ran.code, "\n", ran.out, ran.err);
    REQUIRE(ran.ok());
    return ran;
}

bool have_tool(const std::string& name) {
    return shell("command -v " + name).ok();
}

int in_child(const std::function<int()>& fn, int seconds) {
    return wait_for(start(fn), seconds);
}

int as_user(const User& user, const std::function<int()>& fn, int seconds) {
    return in_child(
        [&] {
            if (::setgroups(user.groups.size(), user.groups.data()) != 0) return 125;
            if (::setresgid(user.gid, user.gid, user.gid) != 0) return 125;
            if (::setresuid(user.uid, user.uid, user.uid) != 0) return 125;
            return fn();
        },
        seconds);
}

Child::Child(const std::function<int()>& fn) : pid_(start(fn)) {}

Child::~Child() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

int Child::wait(int seconds) {
    int code = wait_for(pid_, seconds);
    pid_ = -1;
    return code;
}

void drop_caches() {
    need_privilege("/proc/sys/vm/drop_caches");
    must_run({"sh", "-c", "echo 2 > /proc/sys/vm/drop_caches"});
}

}  // namespace plyfs::test

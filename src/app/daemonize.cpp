#include "app/daemonize.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/fd.h"

namespace plyfs::app {
namespace {

int wait_for_child(pid_t child, int ready_pipe) {
    char byte;
    ssize_t n;
    do {
        n = ::read(ready_pipe, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) return 0;
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

}  // namespace

int Readiness::detach(const std::function<int()>& work) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
    if (child > 0) {
        ::close(ends[1]);
        const int code = wait_for_child(child, ends[0]);
        ::close(ends[0]);
        return code;
    }
    ::close(ends[0]);
    pipe_ = ends[1];
    ::setsid();
    const int code = work();
    return code;
}

void Readiness::ready() {
    if (pipe_ < 0) return;
    // The working directory would keep a file system busy that has nothing to do with the mount.
    if (::chdir("/") != 0) throw std::runtime_error("chdir to /");
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd <= 2 && null.valid(); ++fd) ::dup2(null.get(), fd);
    const char byte = 1;
    if (::write(pipe_, &byte, 1) != 1) return;  // the parent is gone: nobody to tell
    ::close(pipe_);
    pipe_ = -1;
}

void enter_mount_namespace(const std::string& where) {
    const bool is_pid = !where.empty() && std::all_of(where.begin(), where.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::string path = is_pid ? "/proc/" + where + "/ns/mnt" : where;
    UniqueFd ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!ns.valid() || ::setns(ns.get(), CLONE_NEWNS) != 0) {
        throw std::runtime_error("mount namespace " + path + ": " + std::strerror(errno));
    }
}

}  // namespace plyfs::app

#include "app/daemonize.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "base/log.h"
#include "sys/process.h"

namespace plyfs::app {
namespace {

[[noreturn]] void fail(const std::string& what, Errno err) {
    throw std::runtime_error(what + ": " + log::errno_text(err.value()));
}

// 0 once the child is ready, otherwise the code it ended with.
int wait_for_child(pid_t child, BorrowedFd ready) {
    const auto told = sys::wait_for_byte(ready);
    if (told && *told) return 0;
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

}  // namespace

int Readiness::detach(const std::function<int()>& work) {
    auto pipe = sys::make_pipe();
    if (!pipe) fail("pipe", pipe.error());
    const pid_t child = ::fork();
    if (child < 0) fail("fork", Errno::last());
    if (child > 0) {
        pipe->writer.reset();
        return wait_for_child(child, pipe->reader);
    }
    pipe->reader.reset();
    pipe_ = std::move(pipe->writer);
    sys::close_inherited(pipe_);
    ::setsid();
    return work();
}

void Readiness::ready() {
    if (!pipe_.valid()) return;
    // The working directory would keep a file system busy that has nothing to do with the mount.
    if (::chdir("/") != 0) fail("chdir to /", Errno::last());
    if (auto dropped = sys::drop_standard_streams(); !dropped) {
        log::debug("the terminal is kept: {}", log::errno_text(dropped.error().value()));
    }
    if (auto sent = sys::send_byte(pipe_); !sent) {
        log::debug("whoever mounted has not waited: {}", log::errno_text(sent.error().value()));
    }
    pipe_.reset();
}

void enter_mount_namespace(const std::string& where) {
    const bool is_pid =
        !where.empty() && std::all_of(where.begin(), where.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::string path = is_pid ? "/proc/" + where + "/ns/mnt" : where;
    if (auto entered = sys::enter_mount_namespace(path.c_str()); !entered) {
        fail("mount namespace " + path, entered.error());
    }
}

}  // namespace plyfs::app

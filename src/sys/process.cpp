#include "sys/process.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace plyfs::sys {
namespace {

constexpr const char* kOwnProgram = "/proc/self/exe";

}  // namespace

Status enter_mount_namespace(const char* path) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    if (::setns(fd.get(), CLONE_NEWNS) != 0) return Errno::last();
    return {};
}

Status drop_standard_streams() {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return Errno::last();
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::dup2(null.get(), fd) < 0) return Errno::last();
    }
    return {};
}

void close_inherited(BorrowedFd keep) {
    const auto kept = static_cast<unsigned>(keep.get());
    if (kept > 3) ::close_range(3, kept - 1, 0);
    ::close_range(kept + 1, ~0U, 0);
}

void ask_to_mount(const char* directory) {
    const char* const argv[] = {"mount", "--", directory, nullptr};
    posix_spawn_file_actions_t quiet;
    ::posix_spawn_file_actions_init(&quiet);
    for (int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        ::posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid = -1;
    const int fault = ::posix_spawnp(&pid, argv[0], &quiet, nullptr, const_cast<char* const*>(argv), environ);
    ::posix_spawn_file_actions_destroy(&quiet);
    if (fault != 0) return;
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

Result<std::string> own_program() {
    char path[PATH_MAX];
    const ssize_t length = ::readlink(kOwnProgram, path, sizeof path);
    if (length < 0) return Errno::last();
    if (length == sizeof path) return Errno(ENAMETOOLONG);
    return std::string(path, static_cast<std::size_t>(length));
}

Result<UniqueFd> open_own_program() {
    UniqueFd fd(::open(kOwnProgram, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    return fd;
}

std::string no_descriptor_text() {
    struct rlimit limit {};
    const bool known = ::getrlimit(RLIMIT_NOFILE, &limit) == 0;
    return "it has no descriptor left" + (known ? " of " + std::to_string(limit.rlim_cur) : std::string()) +
           "; close files, or raise the limit (LimitNOFILE= of a service, ulimit -n)";
}

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return Errno::last();
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Status send_byte(BorrowedFd writer) {
    const char byte = 1;
    for (;;) {
        if (::write(writer.get(), &byte, 1) == 1) return {};
        if (errno != EINTR) return Errno::last();
    }
}

Result<bool> wait_for_byte(BorrowedFd reader) {
    char byte;
    for (;;) {
        const ssize_t n = ::read(reader.get(), &byte, 1);
        if (n >= 0) return n == 1;
        if (errno != EINTR) return Errno::last();
    }
}

}  // namespace plyfs::sys

#include "sys/guard.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"

namespace plyfs::sys {
namespace {

const int kParentEnds = SIGRTMIN + 7;

// System calls alone: another thread may have had any lock at the fork.
[[noreturn]] void stand_by(int whom, pid_t parent) {
    sigset_t all, wanted;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, kParentEnds);
    ::prctl(PR_SET_NAME, "plyfs-guard");
    // What the parent has open must not stay so because of us.
    if (::dup2(whom, 0) != 0 || ::close_range(1, ~0U, 0) != 0) ::_exit(1);
    if (::prctl(PR_SET_PDEATHSIG, kParentEnds) != 0) ::_exit(1);
    int which;
    if (::getppid() == parent) ::sigwait(&wanted, &which);
    // ENOENT or the like: it has ended as it should.
    ::_exit(::write(0, "1", 1) == 1 ? 0 : 1);
}

}  // namespace

// Of fusectl there is one in the system, which need
// not be mounted anywhere.
Result<UniqueFd> open_abort(std::uint64_t device) {
    const UniqueFd fs(::fsopen("fusectl", FSOPEN_CLOEXEC));
    if (!fs.valid() || ::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return Errno::last();
    const UniqueFd control(::fsmount(fs.get(), FSMOUNT_CLOEXEC, 0));
    if (!control.valid()) return Errno::last();
    const std::string path = std::to_string(minor(device)) + "/abort";
    UniqueFd abort(::openat(control.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!abort.valid()) return Errno::last();
    return abort;
}

Result<Guard> Guard::start(std::uint64_t device) {
    return start_telling(TRY(open_abort(device)));
}

Result<Guard> Guard::start_telling(BorrowedFd whom) {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return Errno::last();
    if (pid == 0) stand_by(whom.get(), parent);
    return Guard(pid);
}

Guard::~Guard() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace plyfs::sys

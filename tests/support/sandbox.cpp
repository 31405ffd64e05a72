#include "support/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/check.h"

namespace plyfs::test {
namespace {

constexpr const char* kFuseControl = "/sys/fs/fuse/connections";
constexpr unsigned kMaxConnections = 512;
constexpr unsigned kFirstOutside = 1879048192, kMappedIds = 1 << 20;  // of a user namespace; nobody has them

// What the inside tells the watchdog; lives in memory shared by both.
struct Shared {
    std::atomic<long> deadline{0};  // CLOCK_MONOTONIC seconds, 0 for none
    char what[256] = {};
    std::atomic<unsigned> connections{0};
    std::atomic<unsigned> numbers[kMaxConnections] = {};
    std::atomic<ino_t> folders[kMaxConnections] = {};  // of /sys/fs/fuse/connections: a number is soon another one's
};
Shared* shared = nullptr;
volatile sig_atomic_t told_to_end = 0;  // the watchdog's own SIGINT, SIGTERM or SIGHUP

long now_seconds() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "sandbox: %s: %s\n", what, std::strerror(errno));
    ::_exit(125);
}

std::string slurp(const std::filesystem::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

// For whoever reads the report of a hang: every thread of the sandbox that sleeps in the kernel, and where.
void describe_sandbox(pid_t init) {
    std::error_code ec;
    auto ns = std::filesystem::read_symlink("/proc/" + std::to_string(init) + "/ns/pid", ec);
    for (const auto& process : std::filesystem::directory_iterator("/proc", ec)) {
        if (std::filesystem::read_symlink(process.path() / "ns/pid", ec) != ns || ec) continue;
        for (const auto& task : std::filesystem::directory_iterator(process.path() / "task", ec)) {
            std::string comm = slurp(task.path() / "comm"), stack = slurp(task.path() / "stack");
            if (!comm.empty()) comm.pop_back();
            std::fprintf(stderr, "%s (%s):\n%s", task.path().c_str(), comm.c_str(), stack.c_str());
        }
    }
}

// Everybody may open /dev/fuse in the sandbox, as on systems where users have containers.
void open_dev_fuse(const std::string& folder) {
    const std::string node = folder + "/fuse";
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "mode=0755") != 0) die("mount tmpfs");
    if (::mknod(node.c_str(), S_IFCHR | 0666, makedev(10, 229)) != 0 || ::chmod(node.c_str(), 0666) != 0) die("mknod");
    if (::mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) != 0) die("mount /dev/fuse");
    if (::umount2(folder.c_str(), MNT_DETACH) != 0) die("umount");
}

void write_map(const std::string& path) {
    char line[64];
    const int length = std::snprintf(line, sizeof line, "0 %u %u", kFirstOutside, kMappedIds);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, line, static_cast<std::size_t>(length)) != length) die("mapping ids");
    ::close(fd);
}

// What daemons leave in /run is the sandbox's own.
void mount_run(bool privileged) {
    char owner[64] = "mode=0755";
    if (!privileged) std::snprintf(owner, sizeof owner, "mode=0755,uid=%u,gid=%u", kFirstOutside, kFirstOutside);
    if (::mount("tmpfs", "/run", "tmpfs", 0, owner) != 0) die("mount /run");
}

// A child that goes on in a user namespace of its own, as its root, who is nobody outside.
pid_t fork_into_user_namespace() {
    int here[2], mapped[2];
    char word = 0;
    if (::pipe2(here, O_CLOEXEC) != 0 || ::pipe2(mapped, O_CLOEXEC) != 0) die("pipe");
    const pid_t child = ::fork();
    if (child < 0) die("fork");
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWUSER) != 0) die("unshare(CLONE_NEWUSER)");
        if (::write(here[1], "", 1) != 1 || ::read(mapped[0], &word, 1) != 1) die("waiting for the mapping");
        if (::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) die("setresuid");
    } else {
        ::close(here[1]);
        if (::read(here[0], &word, 1) == 1) {
            write_map("/proc/" + std::to_string(child) + "/uid_map");
            write_map("/proc/" + std::to_string(child) + "/gid_map");
            if (::write(mapped[1], "", 1) != 1) die("telling of the mapping");
        }
        ::close(here[0]);
        ::close(mapped[1]);
    }
    ::close(mapped[0]);
    return child;
}

int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Process 1 of the sandbox: adopts and reaps what daemonizes, so that "the daemon has ended" means it is
// gone.
[[noreturn]] void be_init(const std::function<int()>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWNS) != 0) die("unshare(CLONE_NEWNS)");
    if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) die("mount /proc");
    pid_t worker = ::fork();
    if (worker < 0) die("fork");
    if (worker == 0) {
        int rc = body();
        std::fflush(nullptr);
        ::_exit(rc);
    }
    for (;;) {
        int status = 0;
        pid_t pid = ::wait(&status);
        if (pid == worker) ::_exit(exit_code(status));
        if (pid < 0 && errno == ECHILD) ::_exit(125);
    }
}

// The user namespace's first process is outside of the process namespace that belongs to it.
[[noreturn]] void be_root_of_nothing(const std::function<int()>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing ids has cleared it
    if (::unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) die("unshare in a user namespace");
    const pid_t init = ::fork();
    if (init < 0) die("fork");
    if (init == 0) be_init(body);
    int status = 0;
    if (::waitpid(init, &status, 0) != init) die("waitpid");
    ::_exit(exit_code(status));
}

std::string folder_of(unsigned connection) {
    return std::string(kFuseControl) + "/" + std::to_string(connection);
}

ino_t folder_inode(unsigned connection) {
    struct stat st {};
    return ::stat(folder_of(connection).c_str(), &st) == 0 ? st.st_ino : 0;
}

void abort_all_connections() {
    const unsigned count = std::min<unsigned>(shared->connections, kMaxConnections);
    for (unsigned i = 0; i < count; i++) {
        if (folder_inode(shared->numbers[i]) == shared->folders[i]) abort_connection(shared->numbers[i]);
    }
}

void on_timeout(pid_t init) {
    std::fprintf(stderr, "TIMED OUT: %s\n", shared->what);
    describe_sandbox(init);
    abort_all_connections();
    ::kill(init, SIGKILL);
}

}  // namespace

bool abort_connection(unsigned number) {
    std::string path = folder_of(number) + "/abort";
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool done = ::write(fd, "1", 1) == 1;
    ::close(fd);
    return done;
}

void set_deadline(int seconds, const std::string& what) {
    if (!shared) return;
    const char* factor = std::getenv("PLYFS_TEST_TIMEOUT_FACTOR");
    int times = factor ? std::max(1, std::atoi(factor)) : 1;
    std::snprintf(shared->what, sizeof shared->what, "%s", what.c_str());
    shared->deadline = seconds ? now_seconds() + static_cast<long>(seconds) * times : 0;
}

void note_connection(unsigned number) {
    if (!shared) return;
    unsigned slot = shared->connections++;
    if (slot >= kMaxConnections) return;
    shared->numbers[slot] = number;
    shared->folders[slot] = folder_inode(number);
}

bool is_unprivileged() {
    return std::getenv("PLYFS_TEST_UNPRIVILEGED") != nullptr;
}

void need_privilege(const std::string& what) {
    if (is_unprivileged()) skip("no " + what + " without privilege");
}

int run_in_sandbox(const std::function<int()>& body) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    shared = new (memory) Shared;
    const bool privileged = !is_unprivileged();
    if (::unshare(CLONE_NEWNS | (privileged ? CLONE_NEWPID : 0)) != 0) die("unshare");
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("making mounts private");
    if (::access((std::string(kFuseControl) + "/.").c_str(), X_OK) == 0)
        ::mount("none", kFuseControl, "fusectl", 0, nullptr);  // already there on most systems: EBUSY
    mount_run(privileged);
    if (!privileged) {
        const char* folder = std::getenv("PLYFS_TEST_TMP");
        if (!folder) die("no PLYFS_TEST_TMP");
        open_dev_fuse(folder);
        if (::chown(folder, kFirstOutside, kFirstOutside) != 0) die("chown");
    }
    std::fflush(nullptr);
    pid_t init = privileged ? ::fork() : fork_into_user_namespace();
    if (init < 0) die("fork");
    if (init == 0) privileged ? be_init(body) : be_root_of_nothing(body);
    struct sigaction remember {};
    remember.sa_handler = [](int number) { told_to_end = number; };
    for (int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &remember, nullptr);
    bool timed_out = false;
    for (;;) {
        int status = 0;
        if (told_to_end) ::kill(init, SIGKILL);  // and return, so that our caller puts back what it changed
        if (::waitpid(init, &status, WNOHANG) == init) {
            if (timed_out) return 124;
            if (told_to_end) return 128 + told_to_end;
            return exit_code(status);
        }
        if (long d = shared->deadline; d && now_seconds() > d) {
            if (!timed_out) on_timeout(init);
            timed_out = true;
        }
        timespec t{0, 2000000};
        ::nanosleep(&t, nullptr);
    }
}

}  // namespace plyfs::test

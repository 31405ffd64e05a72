// Stress test of libfuse's FUSE over io_uring with replies from other threads than the ring's own, which
// libfuse 3.18 gets wrong without packaging/patches ("Failed to get a ring SQEs", then a hang). Also: a reply
// must not wait for a handler that keeps the ring's thread; a worker that is busy after its reply must not
// hold up later requests; an abort under load must end the daemon cleanly.
//
// Exit status: 0 passed, 1 failed, 77 cannot run here. Never leaves a mount, a process or a changed module
// parameter.
#include "ring_stress.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace ring_stress {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr int kSkipped = 77;
constexpr const char* kParameter = "/sys/module/fuse/parameters/enable_uring";
constexpr const char* kLock = "/run/plyfs-test-enable_uring.lock";  // shared with tests/support/transport

struct Skip {
    const char* why;
};

// Turns FUSE over io_uring on for one handshake (a connection that has it keeps it) and puts the old value
// back. Locked against others who do the same; signals wait, so that nothing comes between.
class RingsEnabled {
  public:
    RingsEnabled() : fd_(open(kParameter, O_RDWR | O_CLOEXEC)), lock_(open(kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        if (fd_ < 0) throw Skip{"no /sys/module/fuse/parameters/enable_uring, or not writable: kernel 6.14 and root"};
        for (int i = 0; flock(lock_, LOCK_EX | LOCK_NB) != 0; ++i, std::this_thread::sleep_for(100ms))
            if (i == 600) throw Skip{"another test has kept /run/plyfs-test-enable_uring.lock for a minute"};
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &signals_);
        if (pread(fd_, &old_, 1, 0) != 1) old_ = 'N';
        enabled_ = pwrite(fd_, "Y", 1, 0) == 1;
    }
    RingsEnabled(const RingsEnabled&) = delete;
    ~RingsEnabled() {
        if (pwrite(fd_, &old_, 1, 0) != 1) std::perror(kParameter);
        close(fd_);
        flock(lock_, LOCK_UN);  // the daemon was forked with it: closing alone would keep it
        close(lock_);
        sigprocmask(SIG_SETMASK, &signals_, nullptr);
    }
    bool enabled() const { return enabled_; }
    const sigset_t& signals() const { return signals_; }

  private:
    int fd_;
    int lock_;
    char old_ = 'N';
    bool enabled_ = false;
    sigset_t signals_{};
};

// Starts a child that dies with us.
template <typename Body>
pid_t start(const sigset_t* signals, Body body) {
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (signals) sigprocmask(SIG_SETMASK, signals, nullptr);
    _exit(body());
}

// Waits for a child; -1 if it does not end in time, else its status as wait(2) gives it.
int wait_status(pid_t pid, Clock::duration limit) {
    int status = 0;
    for (auto end = Clock::now() + limit; waitpid(pid, &status, WNOHANG) == 0; std::this_thread::sleep_for(2ms))
        if (Clock::now() > end) return -1;
    return status;
}

class Mount {
  public:
    Mount(const Options& options, Shared& shared) {
        const char* folder = std::getenv("TMPDIR");
        path_ = std::string(folder ? folder : "/tmp") + "/ring_stress.XXXXXX";
        if (!mkdtemp(path_.data())) throw Skip{"no temporary folder can be made"};
        RingsEnabled rings;
        if (!rings.enabled()) return;
        daemon_ = start(&rings.signals(), [&] { return serve(path_, options, shared); });
        for (int i = 0; i < 500 && !shared.initialised; ++i) std::this_thread::sleep_for(10ms);
        struct statx root {};
        if (!shared.initialised || statx(AT_FDCWD, path_.c_str(), AT_STATX_DONT_SYNC, 0, &root) != 0) return;
        connection_ = root.stx_dev_minor;
        struct stat st {};
        answers_ = wait_status(start(nullptr, [&] { return stat((path_ + "/f1").c_str(), &st); }), 5s) == 0;
    }
    Mount(const Mount&) = delete;
    ~Mount() {
        abort();
        umount2(path_.c_str(), MNT_DETACH);
        if (daemon_ > 0) {
            kill(daemon_, SIGKILL);
            waitpid(daemon_, nullptr, 0);
        }
        rmdir(path_.c_str());
    }
    bool answers() const { return answers_; }
    const std::string& path() const { return path_; }

    // Ends the connection as the administrator would; without fusectl killing the daemon does it.
    void abort() {
        if (connection_ == 0) return;
        const std::string file = "/sys/fs/fuse/connections/" + std::to_string(connection_) + "/abort";
        if (access(file.c_str(), W_OK) != 0) mount("fusectl", "/sys/fs/fuse/connections", "fusectl", 0, nullptr);
        const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) != 1) umount2(path_.c_str(), MNT_FORCE);
        if (fd >= 0) close(fd);
    }
    // The daemon's status after an abort, -1 if it does not end.
    int end_of_daemon() {
        const int status = wait_status(daemon_, 15s);
        if (status != -1) daemon_ = -1;
        return status;
    }

  private:
    std::string path_;
    pid_t daemon_ = -1;
    unsigned connection_ = 0;  // the number of its folder in /sys/fs/fuse/connections
    bool answers_ = false;
};

bool one_operation(const std::string& path, std::uint64_t n) {
    const std::uint64_t file = n * 7919 % kFiles, ino = kFirstFile + file;
    const std::string name = path + "/f" + std::to_string(file);
    struct stat st {};
    if (n % 3 != 0) {
        if (stat(name.c_str(), &st) != 0) return false;
        return st.st_ino == ino && static_cast<std::uint64_t>(st.st_size) == size_of(ino);
    }
    const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    std::uint64_t words[kReadSize / 8]{};
    const std::uint64_t offset = n % 4096;
    bool good = pread(fd, words, sizeof words, static_cast<off_t>(offset)) == kReadSize;
    for (const auto word : words) good = good && word == word_of(ino, offset);
    close(fd);
    return good;
}

int client(const std::string& path, int number, std::uint64_t operations, Shared& shared) {
    for (std::uint64_t n = 0; n < operations; ++n) {
        if (!one_operation(path, n + static_cast<std::uint64_t>(number) * 131)) {
            if (shared.aborting) return 0;
            ++shared.wrong;
            return 1;
        }
        ++shared.done[number];
    }
    return 0;
}

std::uint64_t total(const Shared& shared) {
    std::uint64_t sum = 0;
    for (const auto& done : shared.done) sum += done;
    return sum;
}

void end_clients(std::vector<pid_t>& pids, int signal) {
    for (const pid_t pid : pids) kill(pid, signal);
}

std::vector<pid_t> start_clients(const std::string& path, const Options& options, std::uint64_t each, Shared& shared) {
    std::vector<pid_t> pids;
    for (int i = 0; i < options.clients; ++i)
        pids.push_back(start(nullptr, [&, i] { return client(path, i, each, shared); }));
    return pids;
}

// True when every client comes to its end; false as soon as none of them gets anywhere for a while.
bool run_load(Mount& mount, const Options& options, Shared& shared) {
    const auto each = static_cast<std::uint64_t>(options.operations / options.clients + 1);
    auto pids = start_clients(mount.path(), options, each, shared);
    auto last_progress = Clock::now();
    std::uint64_t last = 0;
    while (!pids.empty()) {
        std::this_thread::sleep_for(20ms);
        std::erase_if(pids, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) == pid; });
        if (const auto now = total(shared); now != last) last = now, last_progress = Clock::now();
        if (Clock::now() - last_progress < std::chrono::seconds(options.stall_seconds)) continue;
        std::printf("ring_stress: no progress for %d s after %llu operations\n", options.stall_seconds,
                    static_cast<unsigned long long>(last));
        shared.aborting = true;
        mount.abort();
        end_clients(pids, SIGKILL);
        for (const pid_t pid : pids) wait_status(pid, 5s);
        return false;
    }
    return shared.wrong == 0;
}

void pin_to_first_cpu() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int stat_special(const std::string& path, const char* name, std::atomic<bool>* answered) {
    pin_to_first_cpu();  // one CPU is one queue
    struct stat st {};
    const int result = stat((path + "/" + name).c_str(), &st);
    if (answered) *answered = true;
    return result == 0 ? 0 : 1;
}

// A handler keeps the ring's thread; a worker answers another request of the same ring meanwhile.
bool check_coupling(const Mount& mount, Shared& shared) {
    const pid_t slow = start(nullptr, [&] { return stat_special(mount.path(), "slow", &shared.slow_answered); });
    for (int i = 0; i < 1000 && !shared.slow_held; ++i) std::this_thread::sleep_for(1ms);
    const pid_t block = start(nullptr, [&] { return stat_special(mount.path(), "block", nullptr); });
    const bool ended = wait_status(slow, 10s) == 0 && wait_status(block, 10s) == 0;
    std::printf("ring_stress: reply while the ring's handler runs: the call took %lld us, %s\n",
                static_cast<long long>(shared.slow_reply_us.load()),
                shared.block_gave_up ? "the caller got it only after the handler" : "the caller got it at once");
    return ended && !shared.block_gave_up && shared.slow_reply_us < 500000;
}

// A worker answers and then cannot be woken for a second; another request on that CPU must be served
// meanwhile.
bool check_busy_worker(const Mount& mount) {
    const auto probe = [&] {
        if (stat_special(mount.path(), "hog", nullptr) != 0) return 2;
        const auto start_time = Clock::now();
        for (std::uint64_t n = 1; n < 20; ++n)
            if (!one_operation(mount.path(), n)) return 2;
        return Clock::now() - start_time < std::chrono::milliseconds(kHogMs / 2) ? 0 : 1;
    };
    const int status = wait_status(start(nullptr, probe), 15s);
    std::printf("ring_stress: requests after a reply by a worker that is busy since: %s\n",
                status == 0 ? "served at once" : "wait for that worker");
    return status == 0;
}

bool check_abort(Mount& mount, const Options& options, Shared& shared) {
    shared.aborting = true;
    auto pids = start_clients(mount.path(), options, UINT64_MAX, shared);
    std::this_thread::sleep_for(300ms);
    mount.abort();
    bool good = true;
    for (const pid_t pid : pids) good = wait_status(pid, 10s) != -1 && good;
    end_clients(pids, SIGKILL);
    const int status = mount.end_of_daemon();
    std::printf("ring_stress: abort under load: %s\n", status == 0    ? "the daemon ended"
                                                       : status == -1 ? "the daemon hangs"
                                                                      : "the daemon crashed or failed");
    return good && status == 0;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const long value = i + 1 < argc ? std::atol(argv[i + 1]) : 0;
        if (name == "--long")
            options.operations = 1000000;
        else if (name == "--load-only")
            options.load_only = true;
        else if (name == "--ops" && value > 0)
            options.operations = value, ++i;
        else if (name == "--clients" && value > 0 && value <= kMaxClients)
            options.clients = static_cast<int>(value), ++i;
        else if (name == "--workers" && value > 0)
            options.workers = static_cast<int>(value), ++i;
        else if (name == "--depth" && value > 0)
            options.depth = static_cast<int>(value), ++i;
        else if (name == "--stall" && value > 0)
            options.stall_seconds = static_cast<int>(value), ++i;
        else {
            std::fprintf(stderr,
                         "usage: %s [--long] [--load-only] [--ops N] [--clients N] [--workers N] [--depth N]"
                         " [--stall SECONDS]\n",
                         argv[0]);
            std::exit(2);
        }
    }
    return options;
}

int run(const Options& options) {
    if (geteuid() != 0) throw Skip{"needs root"};
    if (access("/dev/fuse", R_OK | W_OK) != 0) throw Skip{"no /dev/fuse"};
    // The mount is nobody's business but ours, and gone with us.
    if (unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw Skip{"no mount namespace of its own"};
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw Skip{"no shared memory"};
    auto& shared = *new (memory) Shared();

    Mount mount(options, shared);
    if (!mount.answers()) throw Skip{"the mount does not answer, or enable_uring cannot be turned on"};
    if (shared.ring_requests == 0) throw Skip{"requests do not come over io_uring: libfuse without it?"};
    const auto start_time = Clock::now();
    bool good = run_load(mount, options, shared);
    const std::chrono::duration<double> seconds = Clock::now() - start_time;
    std::printf(
        "ring_stress: %llu operations in %.1f s, %llu requests by ring, %llu by /dev/fuse, %llu replies from"
        " other threads, %u wrong\n",
        static_cast<unsigned long long>(total(shared)), seconds.count(),
        static_cast<unsigned long long>(shared.ring_requests.load()),
        static_cast<unsigned long long>(shared.device_requests.load()),
        static_cast<unsigned long long>(shared.offthread_replies.load()), shared.wrong.load());
    if (good && !options.load_only) {
        good = check_coupling(mount, shared);
        good = check_busy_worker(mount) && good;
        good = check_abort(mount, options, shared) && good;
        if (!good && !options.patched)
            std::printf("ring_stress: that is known of libfuse without packaging/patches, and does not count\n");
        good = good || !options.patched;
    }
    return good ? 0 : 1;
}

}  // namespace
}  // namespace ring_stress

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    try {
        const int result = ring_stress::run(ring_stress::parse(argc, argv));
        std::printf("ring_stress: %s\n", result == 0 ? "passed" : "FAILED");
        return result;
    } catch (const ring_stress::Skip& skip) {
        std::printf("ring_stress: SKIPPED: %s\n", skip.why);
        return ring_stress::kSkipped;
    }
}

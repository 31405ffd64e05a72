#include "support/mount.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/check.h"
#include "support/files.h"
#include "support/gate.h"
#include "support/sandbox.h"
#include "support/transport.h"

namespace plyfs::test {
namespace {

// Where a daemon built with sanitizers leaves its reports: its stderr is closed once it is detached.
std::string report_prefix() {
    return "/tmp/plyfs-sanitizer." + std::to_string(::getpid());
}

bool all_stopped(pid_t pid) {
    std::error_code ec;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ec)) {
        const std::string stat = read_file(task.path() / "stat");
        const std::size_t state = stat.rfind(") ") + 2;  // the name before it may have anything in it
        if (stat.at(state) != 'T') return false;
    }
    return !ec;
}

std::vector<std::string> daemon_environment() {
    std::vector<std::string> variables;
    for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
        const char* old = std::getenv(name);
        variables.push_back(std::string(name) + "=" + (old ? std::string(old) + ":" : "") +
                            "log_path=" + report_prefix());
    }
    return variables;
}

void check_sanitizer_reports() {
    std::string wanted = std::filesystem::path(report_prefix()).filename();
    for (const auto& entry : std::filesystem::directory_iterator("/tmp")) {
        if (entry.path().filename().string().rfind(wanted, 0) != 0) continue;
        std::ifstream in(entry.path());
        std::string text{std::istreambuf_iterator<char>(in), {}};
        std::filesystem::remove(entry.path());
        FAILED_CHECK("the daemon's sanitizer says:\n" + text);
    }
}

// In mountinfo blanks and backslashes of a path are octal; tests use neither in mountpoints.
std::string device_of(const std::string& mountpoint) {
    std::ifstream in("/proc/self/mountinfo");
    std::string device;
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string id, parent, dev, root, point;
        words >> id >> parent >> dev >> root >> point;
        if (point == mountpoint) device = dev;
    }
    return device;
}

}  // namespace

std::string plyfs_binary() {
    for (const char* name : {"PLYFS_TEST_ANCHOR", "PLYFS_TEST_BINARY"})
        if (const char* value = std::getenv(name); value && *value) return value;
    return PLYFS_BINARY;
}

Ran run_plyfs(const std::vector<std::string>& args, int seconds) {
    std::vector<std::string> argv{plyfs_binary()};
    argv.insert(argv.end(), args.begin(), args.end());
    if (!std::getenv("PLYFS_TEST_LOG")) return run(argv, seconds, daemon_environment(), enter_gate());
    // For looking at a failure: in the foreground with everything logged, appended to that file.
    argv.insert(argv.begin(), {"sh", "-c", "\"$0\" -f \"$@\" >>\"$PLYFS_TEST_LOG\" 2>&1 &"});
    Ran ran = run(argv, seconds, daemon_environment(), enter_gate());
    nap(500);
    return ran;
}

dev_t mounted_device(const std::string& mountpoint) {
    std::string device = device_of(mountpoint);
    if (device.empty()) return 0;
    std::size_t colon = device.find(':');
    return makedev(static_cast<unsigned>(std::stoul(device)),
                   static_cast<unsigned>(std::stoul(device.substr(colon + 1))));
}

bool is_mounted(const std::string& mountpoint) {
    return !device_of(mountpoint).empty();
}

bool is_alive(pid_t pid) {
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid()) return false;
    struct pollfd ended = {process.get(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
}

void stop_process(pid_t pid) {
    OK(::kill(pid, SIGSTOP));
    if (!eventually([&] { return all_stopped(pid); })) FAILED_CHECK("a process runs on after SIGSTOP");
}

Mount::Mount(const std::string& options, const std::string& branches, const std::string& mountpoint)
    : mountpoint_(mountpoint), may_choose_transport_(options.find("locks=forward") != std::string::npos) {
    std::string all = options;
    if (!is_standin()) all += (all.empty() ? "" : ",") + std::string("transport=") + wanted_transport();
    if (!is_standin() && std::getenv("PLYFS_TEST_LOG")) all += ",log-level=debug";
    if (const char* more = std::getenv("PLYFS_TEST_OPTIONS")) all += std::string(",") + more;
    std::vector<std::string> args{"-o", all};
    if (all.empty()) args.clear();
    if (!branches.empty()) args.push_back(branches);
    args.push_back(mountpoint);
    Ran ran = run_plyfs(args);
    INFO("plyfs -o ", all, " ", branches, " ", mountpoint, ": exit code ", ran.code, "\n", ran.out, ran.err);
    REQUIRE(ran.ok());
    learn();
}

Mount::Mount(const std::string& mountpoint) : mountpoint_(mountpoint), may_choose_transport_(false) {
    learn();
}

void Mount::learn() {
    REQUIRE_MESSAGE(is_mounted(mountpoint_), "the command returned, but nothing is mounted on " << mountpoint_);
    mounted_ = true;
    connection_ = minor(mounted_device(mountpoint_));
    note_connection(connection_);
    if (is_standin()) return;
    Stats now = stats();
    pid_ = static_cast<pid_t>(now["pid"]);
    // Locks that wait on the branch would fill the rings, so that such a mount may choose /dev/fuse by
    // itself.
    bool free_to_choose = wanted_transport() == "auto" || may_choose_transport_;
    if (!free_to_choose) REQUIRE(now.text("transport") == wanted_transport());
}

bool Mount::backings_settle() const {
    return eventually([&] {
        Stats now = stats();
        return now["backings.opened"] == now["backings.closed"];
    });
}

void Mount::unmount() {
    if (!mounted_) return;
    mounted_ = false;
    if (!is_mounted(mountpoint_)) return expect_end();  // the test itself has unmounted it
    int err = 0;
    bool gone = eventually(
        [&] {
            err = err_of(::umount2(mountpoint_.c_str(), UMOUNT_NOFOLLOW));
            return err != EBUSY;
        },
        1000);
    if (!gone || err != 0) {
        FAILED_CHECK("umount " + mountpoint_ + ": " + errno_words(err));
        ::umount2(mountpoint_.c_str(), MNT_DETACH);
    }
    expect_end();
}

void Mount::expect_end() {
    if (pid_ <= 0) return;
    if (!eventually([&] { return !is_alive(pid_); }, 8000)) {
        FAILED_CHECK("the daemon still runs 8 s after umount");
        abort_connection(connection_);
        ::kill(pid_, SIGKILL);
    }
    pid_ = -1;
    check_sanitizer_reports();
}

Mount::~Mount() {
    unmount();
}

FuseOverlayfs::FuseOverlayfs(const std::string& options, const std::string& mountpoint) : mountpoint_(mountpoint) {
    must_run({"fuse-overlayfs", "-o", options, mountpoint});
}

FuseOverlayfs::~FuseOverlayfs() {
    if (::umount2(mountpoint_.c_str(), 0) == 0) return;
    FAILED_CHECK("umount " + mountpoint_ + ": " + errno_words(errno));
    ::umount2(mountpoint_.c_str(), MNT_DETACH);
}

}  // namespace plyfs::test

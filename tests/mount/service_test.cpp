// In the foreground, as a service of systemd's: who started it is told when the mount answers, and the journal how
// grave each line is.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/transport.h"

using namespace plyfs::test;

namespace {

// A service manager's end: what is sent to it, a datagram at a time.
class Manager {
  public:
    // name: a path, or one of the abstract namespace with '@' in front.
    explicit Manager(const std::string& name) : fd_(OK(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))) {
        struct sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        REQUIRE(name.size() < sizeof address.sun_path);
        std::memcpy(address.sun_path, name.data(), name.size());
        if (name[0] == '@') address.sun_path[0] = '\0';
        const auto size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + name.size());
        OK(::bind(fd_.get(), reinterpret_cast<const struct sockaddr*>(&address), size));
    }
    // Empty when nothing has come.
    std::string told(int milliseconds = 10000) const {
        struct pollfd come = {fd_.get(), POLLIN, 0};
        if (::poll(&come, 1, milliseconds) != 1) return {};
        char buffer[4096];
        const ssize_t size = OK(::recv(fd_.get(), buffer, sizeof buffer, 0));
        return std::string(buffer, static_cast<std::size_t>(size));
    }

  private:
    UniqueFd fd_;
};

struct Ground {
    Ground() : branch(scratch.dir("a")), mnt(scratch.dir("mnt")), said(scratch / "said") {
        if (is_standin()) skip("about plyfs itself");
        write_file(said, "");
    }
    // Instead of this process: plyfs with a mount, its stderr in the file `said`.
    int become_plyfs(const std::string& name, const char* flag, const std::string& notify) const {
        const int fd = ::open(said.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
        struct stat st = {};
        if (fd < 0 || ::dup2(fd, 2) < 0 || ::fstat(2, &st) != 0) return 125;
        ::setenv("NOTIFY_SOCKET", notify.c_str(), 1);
        ::setenv("JOURNAL_STREAM", (std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino)).c_str(), 1);
        const std::string options = "transport=" + wanted_transport(), binary = plyfs_binary();
        const bool layers = name != "plyfs";
        const std::string all = layers ? "lowerdir=" + branch + "," + options : options;
        return ::execl(binary.c_str(), name.c_str(), flag, "-o", all.c_str(), layers ? "word" : branch.c_str(),
                       mnt.c_str(), nullptr);
    }
    Scratch scratch;
    std::string branch, mnt, said;
};

}  // namespace

TEST_CASE("service: told when the mount answers and when it goes") {
    for (const bool abstract : {false, true}) {
        CAPTURE(abstract);
        Ground g;
        const std::string name = abstract ? "@plyfs-test-" + std::to_string(::getpid()) : g.scratch / "notify";
        const Manager manager(name);
        Child daemon([&] { return g.become_plyfs("plyfs", "-f", name); });
        CHECK(manager.told() == "READY=1\nSTATUS=Serving " + g.mnt);
        REQUIRE(is_mounted(g.mnt));
        write_file(g.mnt + "/f", "x");
        CHECK(read_file(g.branch + "/f") == "x");
        CHECK(manager.told(0).empty());
        OK(::kill(daemon.pid(), SIGTERM));
        CHECK(manager.told() == "STOPPING=1");
        CHECK(daemon.wait() == 0);
        CHECK_FALSE(is_mounted(g.mnt));
    }
}

TEST_CASE("service: a mount that fails says so and never that it is ready") {
    Ground g;
    const Manager manager(g.scratch / "notify");
    OK(::rmdir(g.branch.c_str()));
    Child daemon([&] { return g.become_plyfs("plyfs", "-f", g.scratch / "notify"); });
    CHECK(daemon.wait() == 32);
    CHECK(manager.told(0).empty());
    CHECK(read_file(g.said).starts_with("<3>plyfs: "));
}

TEST_CASE("service: somebody else's manager is told nothing") {
    for (const std::string name : {"plyfs", "fuse-overlayfs"}) {
        CAPTURE(name);
        Ground g;
        const Manager manager(g.scratch / "notify");
        // In the background the caller waits for the command to return; as fuse-overlayfs the caller is a service
        // itself.
        Child daemon([&] { return g.become_plyfs(name, name == "plyfs" ? "-v" : "-f", g.scratch / "notify"); });
        REQUIRE(eventually([&] { return is_mounted(g.mnt); }));
        const Mount mount = Mount::adopt(g.mnt);
        CHECK(manager.told(200).empty());
    }
}

TEST_CASE("service: each line for the journal has its priority") {
    Ground g;
    const Manager manager(g.scratch / "notify");
    Child daemon([&] { return g.become_plyfs("plyfs", "-f", g.scratch / "notify"); });
    REQUIRE(manager.told().starts_with("READY=1"));
    CHECK(read_file(g.said).find("<6>plyfs: mounted on " + g.mnt) != std::string::npos);
    OK(::kill(daemon.pid(), SIGTERM));
    CHECK(daemon.wait() == 0);
}

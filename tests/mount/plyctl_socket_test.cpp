// The control socket itself: whose it is, how it comes and goes, and clients that mean it ill.
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "base/json.h"
#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

using namespace plyfs::test;
using plyfs::Json;

namespace {

struct Ground {
    Ground() : a(scratch.dir("a")), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
    }
    Scratch scratch;
    std::string a, mnt;
};

std::string socket_of(const Mount& mount) {
    return "/run/plyfs/0-" + std::to_string(mount.connection()) + ".sock";
}

UniqueFd connect_to(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

void say(const UniqueFd& to, const std::string& text) {
    CHECK(::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

// One line, or what came until the end or for two seconds.
std::string hear(const UniqueFd& from) {
    std::string out;
    char c;
    struct pollfd wait = {from.get(), POLLIN, 0};
    while (::poll(&wait, 1, 2000) == 1 && ::recv(from.get(), &c, 1, 0) == 1) {
        out += c;
        if (c == '\n') break;
    }
    return out;
}

std::string error_in(const std::string& line) {
    std::string fault;
    const auto json = Json::read(line.substr(0, line.find('\n')), fault);
    REQUIRE_MESSAGE(json, fault << ": " << line);
    CHECK_FALSE((*json)["ok"].is_true());
    return (*json)["error"].text();
}

bool answers(const std::string& path) {
    const UniqueFd fd = connect_to(path);
    if (!fd.valid()) return false;
    say(fd, "{\"command\":\"get\"}\n");
    return hear(fd).find("{\"ok\":true") == 0;
}

}  // namespace

TEST_CASE("control socket: it is there with the mount, its owner's alone, and goes with it") {
    Ground g;
    std::string path;
    {
        Mount mount("", g.a, g.mnt);
        path = socket_of(mount);
        const auto st = lstat_of(path);
        CHECK(S_ISSOCK(st.st_mode));
        CHECK((st.st_mode & 07777) == 0600);
        CHECK(st.st_uid == 0);
        CHECK(answers(path));
        CHECK(as_user({1000, 1000, {}}, [&] { return connect_to(path).valid() ? 0 : errno; }) == EACCES);
        // Also where somebody has opened the way, only they are listened to.
        OK(::chmod(path.c_str(), 0666));
        CHECK(as_user({1000, 1000, {}}, [&] {
                  const UniqueFd fd = connect_to(path);
                  return fd.valid() && hear(fd).find("only root") != std::string::npos ? 0 : 1;
              }) == 0);
    }
    CHECK_FALSE(exists(path));
}

TEST_CASE("control socket: another user is told whose mount it is") {
    need_privilege("users of our own");
    Ground g;
    Mount mount("", g.a, g.mnt);
    if (!have_tool("setpriv")) skip("no setpriv here");
    // The build may lie where nobody else may go.
    const std::string copy = g.scratch / "plyctl";
    must_run({"cp", plyctl_binary(), copy});
    const Ran ran = run({"setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", copy, "status", g.mnt});
    CHECK(ran.code == 1);
    CHECK(ran.err.find("another user's mount") != std::string::npos);
}

TEST_CASE("control socket: clients that mean it ill lose nobody's time but their own") {
    Ground g;
    write_file(g.a + "/f", "f");
    Mount mount("", g.a, g.mnt);
    const std::string path = socket_of(mount);
    const auto talk = [&](const std::string& text) {
        const UniqueFd fd = connect_to(path);
        REQUIRE(fd.valid());
        say(fd, text);
        return error_in(hear(fd));
    };
    CHECK(talk("nonsense\n").find("no JSON") != std::string::npos);
    CHECK(talk("{\"command\":\"\xff\"}\n").find("UTF-8") != std::string::npos);
    CHECK(talk("{\"command\":\"dance\"}\n").find("no such command 'dance'") != std::string::npos);
    CHECK(talk("[]\n").find("object") != std::string::npos);
    CHECK(talk("{\"command\":\"explain\"}\n").find("path") != std::string::npos);
    CHECK(talk("{\"command\":\"explain\",\"path\":\"a\\u0000b\"}\n").find("EINVAL") != std::string::npos);
    CHECK(talk("{\"command\":\"explain\",\"path\":\"../../etc\"}\n").find("EINVAL") != std::string::npos);
    CHECK(talk(std::string(200, '[') + "\n").find("inside each other") != std::string::npos);
    // A line without an end.
    {
        const UniqueFd fd = connect_to(path);
        const std::string much(std::size_t{1} << 20, 'x');
        OK(::send(fd.get(), much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        const std::string line = hear(fd);
        if (!line.empty()) CHECK(error_in(line).find("64 KiB") != std::string::npos);
    }
    // Who never reads, and those who come and go in the middle of things.
    const UniqueFd deaf = connect_to(path);
    const std::string ask = "{\"command\":\"get\"}\n";
    for (int i = 0; i < 5000; ++i) {
        if (::send(deaf.get(), ask.data(), ask.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
    }
    for (int i = 0; i < 100; ++i) {
        const UniqueFd fd = connect_to(path);
        REQUIRE(fd.valid());
        say(fd, i % 2 ? "{\"command\":\"status\"}\n" : "{\"comm");
    }
    std::vector<UniqueFd> silent;
    for (int i = 0; i < 40; ++i) silent.push_back(connect_to(path));
    CHECK(answers(path));
    CHECK(read_file(mount / "f") == "f");
    // Several requests in one go are answered one after the other.
    const UniqueFd fd = connect_to(path);
    say(fd, "{\"command\":\"status\"}\n\n{\"command\":\"get\"}\n{\"command\":\"nothing\"}\n");
    CHECK(hear(fd).find("\"branches\"") != std::string::npos);
    CHECK(hear(fd).find("\"options\"") != std::string::npos);
    CHECK(hear(fd).find("no such command") != std::string::npos);
}

TEST_CASE("control socket: one that a killed daemon left is told of and replaced") {
    Ground g;
    std::string left;
    {
        Mount mount("coherence=timeout", g.a, g.mnt);
        left = socket_of(mount);
        OK(::kill(mount.pid(), SIGKILL));
        REQUIRE(eventually([&] { return !is_alive(mount.pid()); }));
        const Ran ran = run_plyctl({"status", g.mnt});
        CHECK(ran.code == 1);
        CHECK(ran.err.find("umount -l") != std::string::npos);
        CHECK(run_plyctl({"list"}).out.find("umount -l") != std::string::npos);
        OK(::umount2(g.mnt.c_str(), MNT_DETACH));
    }
    CHECK(exists(left));
    CHECK(run_plyctl({"list"}).out.empty());
    // The kernel gives the lowest number that is free, so it comes back to one that was left.
    Mount mount("", g.a, g.mnt);
    CHECK(answers(socket_of(mount)));
    OK(::unlink(socket_of(mount).c_str()));
    write_file(socket_of(mount), "not ours");
    mount.unmount();
    CHECK(read_file(socket_of(mount)) == "not ours");
    OK(::unlink(socket_of(mount).c_str()));
}

TEST_CASE("control socket: a mount without one works, and says so") {
    Ground g;
    Mounted none("tmpfs", "/run", "tmpfs", 0, "mode=0755");
    write_file("/run/plyfs", "in the way");
    const Ran ran = run_plyfs({"-o", std::string("create=ff,transport=") + wanted_transport(), g.a, g.mnt});
    CHECK(ran.code == 0);
    CHECK(ran.err.find("no control socket: /run/plyfs") != std::string::npos);
    {
        Mount mount = Mount::adopt(g.mnt);
        write_file(mount / "f", "f");
        CHECK(read_file(g.a + "/f") == "f");
        CHECK(run_plyctl({"status", g.mnt}).err.find("no control socket") != std::string::npos);
    }
}

namespace {

// All that comes until the other side has ended.
std::string answer_at(const std::string& place, const std::string& request) {
    const UniqueFd fd = connect_to(place);
    REQUIRE(fd.valid());
    say(fd, request);
    std::string out;
    char part[4096];
    struct pollfd wait = {fd.get(), POLLIN, 0};
    while (::poll(&wait, 1, 5000) == 1) {
        const ssize_t got = ::recv(fd.get(), part, sizeof part, 0);
        if (got <= 0) break;
        out.append(part, static_cast<std::size_t>(got));
    }
    return out;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("plyctl: metrics are served on a unix socket until it is told to end") {
    Ground g;
    auto mount = std::make_unique<Mount>("", g.a, g.mnt);
    const std::string place = g.scratch / "metrics.sock";
    Child server([&] {
        ::execl(plyctl_binary().c_str(), "plyctl", "metrics", ("--listen=unix:" + place).c_str(), nullptr);
        return 125;
    });
    REQUIRE(eventually([&] { return exists(place) && connect_to(place).valid(); }));
    CHECK((lstat_of(place).st_mode & 0777) == 0600);
    const std::string page = answer_at(place, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(page.find("HTTP/1.0 200 OK\r\n") == 0);
    CHECK(has(page, "plyfs_mount_info{mountpoint=\"" + g.mnt + "\""));
    CHECK(has(page, "\nplyfs_mounts_unanswered 0\n"));
    const std::size_t body = page.find("\r\n\r\n") + 4;
    CHECK(has(page, "Content-Length: " + std::to_string(page.size() - body) + "\r\n"));
    CHECK(answer_at(place, "GET /other HTTP/1.0\r\n\r\n").find("HTTP/1.0 404") == 0);
    CHECK(answer_at(place, "POST /metrics HTTP/1.0\r\n\r\n").find("HTTP/1.0 405") == 0);
    // Who says nothing keeps the others waiting for moments.
    const UniqueFd silent = connect_to(place);
    CHECK(answer_at(place, std::string(9000, 'x')).empty());
    const Ran second = run_plyctl({"metrics", "--listen=unix:" + place});
    CHECK(second.code == 1);
    CHECK(has(second.err, "another process listens there"));
    mount.reset();
    CHECK_FALSE(has(answer_at(place, "GET / HTTP/1.0\r\n\r\n"), "plyfs_mount_info{"));
    CHECK(::kill(server.pid(), SIGTERM) == 0);
    CHECK(server.wait() == 0);
    CHECK_FALSE(exists(place));
}

TEST_CASE("plyctl: metrics are served where others can not come, and nowhere else") {
    Ground g;
    for (std::string where : {"0.0.0.0:9000", "192.0.2.1:9000", "[::]:9000", "localhost:9000", "9000", "127.0.0.1:0",
                              "127.0.0.1:x", "127.0.0.1:70000"}) {
        CAPTURE(where);
        const Ran ran = run_plyctl({"metrics", "--listen=" + where});
        CHECK(ran.code == 2);
        CHECK(has(ran.err, "unix:PATH, 127.0.0.1:PORT or [::1]:PORT is wanted"));
    }
    write_file(g.scratch / "file", "no socket");
    CHECK(has(run_plyctl({"metrics", "--listen=unix:" + g.scratch / "file"}).err, "File exists"));
    CHECK(read_file(g.scratch / "file") == "no socket");
}

TEST_CASE("plyctl: reload finds a mount by its process") {
    Ground g;
    const std::string file = g.scratch / "c.yaml";
    write_file(file, "branches: [" + g.a + "]\nminfreespace: 1M\n");
    Mount mount("config=" + file, "", g.mnt);
    write_file(file, "branches: [" + g.a + "]\nminfreespace: 2M\n");
    const std::string pid = std::to_string(mount.pid());
    const Ran ran = run_plyctl({"reload", "--pid=" + pid});
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(has(ran.out, "changed: minfreespace"));
    CHECK(run_plyctl({"reload", "--pid=" + pid, g.mnt}).code == 2);
    CHECK(has(run_plyctl({"reload", "--pid=1"}).err, "no mount that can be asked is served by process 1"));
}

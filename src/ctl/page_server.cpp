#include "ctl/page_server.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "base/defer.h"
#include "base/log.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "sys/loopback_socket.h"
#include "sys/unix_socket.h"

namespace plyfs::ctl {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience{2000};
constexpr std::size_t kLongestRequest = 8192;
constexpr std::string_view kUnix = "unix:";

[[noreturn]] void refuse_place(const std::string& where) {
    throw Failure("--listen=" + where + ": unix:PATH, 127.0.0.1:PORT or [::1]:PORT is wanted", ExitCode::usage);
}

// A socket that nobody listens at any more was left behind.
Result<UniqueFd> listen_at_path(const std::string& where, const std::string& path) {
    if (sys::connect_to(path)) {
        throw Failure("--listen=" + where + ": another process listens there; end it, or name another path");
    }
    return sys::listen_at(path);
}

UniqueFd listen_at_place(const std::string& where) {
    auto fd = [&]() -> Result<UniqueFd> {
        if (where.starts_with(kUnix)) return listen_at_path(where, where.substr(kUnix.size()));
        const std::size_t colon = where.rfind(':');
        std::uint16_t port = 0;
        if (colon == std::string::npos) refuse_place(where);
        const char* end = where.data() + where.size();
        const auto read = std::from_chars(where.data() + colon + 1, end, port);
        std::string address = where.substr(0, colon);
        if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
        if (read.ec != std::errc() || read.ptr != end || port == 0) refuse_place(where);
        return sys::listen_on_loopback(address, port);
    }();
    if (fd.failed_with(EADDRNOTAVAIL)) refuse_place(where);
    if (!fd) throw Failure("--listen=" + where + ": " + log::errno_text(fd.error().value()));
    return std::move(*fd);
}

UniqueFd catch_end() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC));
    if (!fd.valid()) throw Failure("signals can not be waited for: " + log::errno_text(errno));
    return fd;
}

// False: the time is over.
bool wait_for(BorrowedFd connection, short what, Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    struct pollfd come = {connection.get(), what, 0};
    return left > 0 && ::poll(&come, 1, static_cast<int>(left)) == 1;
}

// Up to the empty line that ends it; none: it is not complete.
std::optional<std::string> read_request(BorrowedFd connection, Clock::time_point end) {
    std::string request;
    std::array<char, 1024> buffer;
    while (request.find("\r\n\r\n") == std::string::npos && request.find("\n\n") == std::string::npos) {
        if (request.size() > kLongestRequest || !wait_for(connection, POLLIN, end)) return std::nullopt;
        const auto got = sys::receive_some(connection, buffer);
        if (!got || *got == 0) return std::nullopt;
        request.append(buffer.data(), *got);
    }
    return request.substr(0, request.find_first_of("\r\n"));
}

std::string answer_to(const std::string& line, const std::function<std::string()>& page) {
    const auto answer = [](const char* status, const std::string& body) {
        return std::string("HTTP/1.0 ") + status +
               "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    };
    if (!line.starts_with("GET ")) return answer("405 Method Not Allowed", "only GET\n");
    const std::string path = line.substr(4, line.find_first_of(" ?", 4) - 4);
    if (path != "/metrics" && path != "/") return answer("404 Not Found", "there is /metrics\n");
    return answer("200 OK", page());
}

void serve_one(BorrowedFd connection, const std::function<std::string()>& page) {
    const auto end = Clock::now() + kPatience;
    const auto line = read_request(connection, end);
    if (!line) return;
    const std::string answer = answer_to(*line, page);
    const auto written_by = Clock::now() + kPatience;
    for (std::string_view left = answer; !left.empty();) {
        if (!wait_for(connection, POLLOUT, written_by)) return;
        const auto sent = sys::send_some(connection, left);
        if (!sent && !sent.failed_with(EAGAIN)) return;
        if (sent) left.remove_prefix(*sent);
    }
}

}  // namespace

void serve_page(const std::string& where, const std::function<std::string()>& page) {
    const UniqueFd listening = listen_at_place(where);
    std::optional<sys::SocketFile> file;
    if (where.starts_with(kUnix)) {
        const auto found = sys::socket_file(where.substr(kUnix.size()));
        if (found) file = *found;
    }
    Defer remove([&] {
        if (file) sys::remove_socket(*file);
    });
    const UniqueFd end = catch_end();
    for (;;) {
        struct pollfd come[] = {{listening.get(), POLLIN, 0}, {end.get(), POLLIN, 0}};
        if (::poll(come, 2, -1) < 0 && errno != EINTR) return;
        if (come[1].revents != 0) return;
        const auto connection = sys::accept_one(listening);
        if (connection) serve_one(*connection, page);
    }
}

}  // namespace plyfs::ctl

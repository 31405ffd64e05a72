#include "control/exchange.h"

#include <array>
#include <chrono>
#include <thread>

#include "sys/unix_socket.h"

namespace plyfs::control {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLongestAnswer = std::size_t{64} << 20;

// A busy machine may take as long to start another daemon.
constexpr auto kBetweenDaemons = 5000ms;

}  // namespace

Result<UniqueFd> connect(const std::string& socket) {
    auto fd = sys::connect_to(socket);
    for (auto left = kBetweenDaemons; fd.failed_with(ECONNREFUSED) && left > 0ms; left -= 20ms) {
        std::this_thread::sleep_for(20ms);
        fd = sys::connect_to(socket);
    }
    return fd;
}

Result<std::string> exchange(BorrowedFd connection, std::string_view line, std::optional<int> patience) {
    if (patience) TRY(sys::set_patience(connection, *patience));
    if (auto sent = sys::send_all(connection, std::string(line) + "\n"); !sent) {
        return sent.failed_with(ECONNRESET) ? Errno(EPIPE) : sent.error();
    }
    std::string answer;
    std::array<char, 65536> buffer;
    while (answer.find('\n') == std::string::npos) {
        const auto got = sys::receive_waiting(connection, buffer);
        const bool ended = (got && *got == 0) || got.failed_with(ECONNRESET);
        if (ended && answer.empty()) return Errno(EPIPE);
        if (!got) return got.error();
        if (*got == 0 || answer.size() > kLongestAnswer) return Errno(ECONNRESET);
        answer.append(buffer.data(), *got);
    }
    answer.resize(answer.find('\n'));
    return answer;
}

}  // namespace plyfs::control

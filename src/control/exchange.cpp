#include "control/exchange.h"

#include <array>

#include "sys/unix_socket.h"

namespace plyfs::control {
namespace {

constexpr std::size_t kLongestAnswer = std::size_t{64} << 20;

}  // namespace

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

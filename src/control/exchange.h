// Asking a mount by its control socket (socket_place): one line there, one back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::control {

// Connects to it; where nobody answers it may be between two daemons of its mount, which is waited for some seconds.
// EACCES: another user's; ENOENT: it is gone; ECONNREFUSED: its daemon has ended.
Result<UniqueFd> connect(const std::string& socket);

// The answer, without the end of its line. patience: milliseconds for each step, none: as long as it takes. EAGAIN: no
// answer for that long; EPIPE: the daemon ended before it answered anything; ECONNRESET: in the middle of the answer,
// or there is no end to it.
Result<std::string> exchange(BorrowedFd connection, std::string_view line, std::optional<int> patience);

}  // namespace plyfs::control

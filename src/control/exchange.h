// Asking a mount by its control socket (socket_place): one line there, one back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::control {

// The answer, without the end of its line. patience: milliseconds for each step, none: as long as it takes. EAGAIN: no
// answer for that long; EPIPE: the daemon ended before it answered anything; ECONNRESET: in the middle of the answer,
// or there is no end to it.
Result<std::string> exchange(BorrowedFd connection, std::string_view line, std::optional<int> patience);

}  // namespace plyfs::control

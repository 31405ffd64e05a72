// Two ends of a line between a process and its child, which carries words of one byte, and descriptors with them.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

struct MessagePair {
    UniqueFd parent;
    UniqueFd child;
};
Result<MessagePair> make_message_pair();

// SIGPIPE is never raised.
Status send_word(BorrowedFd end, char word, const std::vector<BorrowedFd>& descriptors = {});

struct Word {
    char word = 0;
    std::array<UniqueFd, 2> descriptors;
};
// Waits; none: nobody has the other end any more.
Result<std::optional<Word>> receive_word(BorrowedFd end);

}  // namespace plyfs::sys

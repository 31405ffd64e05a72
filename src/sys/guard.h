// Guard: a process beside this one that does nothing until this one is killed, and then ends a FUSE connection or, if
// there is a supervisor who has it, tells him.
//
// The kernel does that by itself when the last descriptor of the connection is closed. But a thread that is telling it
// of a name waits for the directory's lock, deaf to signals, and keeps the descriptor; and whoever has that lock waits
// for an answer of the process that was killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

// For writing "1" to, which ends the FUSE connection of a mount. Leads to this one for ever, also when another one has
// its number.
Result<UniqueFd> open_abort(std::uint64_t device);

class Guard {
  public:
    // device: of the mount. From the main thread, whose end it waits for. EPERM where the connection is not ours to
    // end.
    static Result<Guard> start(std::uint64_t device);
    // Writes "1" to a descriptor.
    static Result<Guard> start_telling(BorrowedFd whom);
    Guard(Guard&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Guard& operator=(Guard&&) = delete;
    // And nothing happens.
    ~Guard();

  private:
    explicit Guard(pid_t pid) : pid_(pid) {}
    pid_t pid_;
};

}  // namespace plyfs::sys

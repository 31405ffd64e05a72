// What a daemon has of its supervisor (app/supervise), which keeps the connection to the kernel for the next one.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "fuse/open_ledger.h"
#include "node/told_names.h"
#include "sys/message_pair.h"

namespace plyfs::fuse {

// What they say to each other.
inline constexpr char kKeep = 'K';    // with the connection, and what aborts it if that could be opened
inline constexpr char kServes = 'S';  // the kernel has been answered
inline constexpr char kNext = 'N';    // it ends, and another one is wanted
// The supervisor is to become the program that is installed by now; the answer is the same word by that program, or
// kStays by this one.
inline constexpr char kUpgrade = 'U';
inline constexpr char kStays = 'X';
inline constexpr char kEnds = 'E';    // no next one is wanted; the answer is that the connection is let go of
inline constexpr char kKilled = '1';  // by sys/guard: the daemon was killed, and may be deaf to that

// Of all that one program leaves to another: what is in the shared memory (OpenLedger, ToldNames), the words above, and
// what is asked of the kernel at INIT, which is asked once. To be raised with any of them.
inline constexpr std::uint32_t kTakeoverVersion = 1;

struct Supervision {
    Supervision(void* opens, void* names) : ledger(opens), told(names) {}
    OpenLedger ledger;
    ToldNames told;
    UniqueFd device;  // the connection, of a daemon that takes it over; invalid: it is to be mounted
    UniqueFd line;    // to the supervisor
    bool takes_over() const { return device.valid(); }
};

}  // namespace plyfs::fuse

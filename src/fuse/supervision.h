// What a daemon has of its supervisor (app/supervise), which keeps the connection to the kernel for the next one; or,
// where it has none, of the one that it would start to be followed (app/late_supervisor).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
inline constexpr std::uint32_t kTakeoverVersion = 3;

// The supervisor that a daemon starts which has none, when another daemon is to follow it.
class LateStart {
  public:
    virtual ~LateStart() = default;
    // Of this program, or with `installed` of that which is by now. It has read its command line and configuration, and
    // waits; false: it would not go on with this mount.
    virtual bool start(bool installed) = 0;
    // To it, which starts the next daemon: this process has to end. connection: its descriptor and, if it could be
    // opened, what aborts it. Returns why not.
    virtual std::string leave(const std::vector<BorrowedFd>& connection) = 0;
    virtual void dismiss() = 0;
};

struct Supervision {
    Supervision(void* opens, void* names) : ledger(opens), told(names) {}
    OpenLedger ledger;
    ToldNames told;
    UniqueFd device;            // the connection, of a daemon that takes it over; invalid: it is to be mounted
    UniqueFd line;              // to the supervisor; invalid: there is none
    LateStart* late = nullptr;  // of who has none; null: nobody can follow
    bool takes_over() const { return device.valid(); }
    bool is_supervised() const { return line.valid(); }
};

}  // namespace plyfs::fuse

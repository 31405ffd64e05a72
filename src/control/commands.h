// The commands of the control socket: a request {"command": NAME, ...} gives an answer {"ok": true, ...} or {"ok":
// false, "error": TEXT}. They are documented in plyctl(1), PROTOCOL.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "control/amendments.h"
#include "control/control_file.h"
#include "control/counters.h"
#include "control/status.h"
#include "ops/context.h"
#include "sys/unix_socket.h"

namespace plyfs::control {

// One mount, as commands see it. A copy of it may be used for as long as the mount is served.
struct Mount {
    ops::Context& ctx;
    const RequestCounters& requests;
    const MountFacts& facts;
    ControlFile& options;
    std::function<ReadAgain()> read_config;  // may be empty
    // Makes ready to end in favour of the next daemon, see fuse/handover.h; empty: nobody supervises. Then it is to
    // leave.
    std::function<std::string(const Succession&)> hand_over;
    std::function<void()> leave;
    std::function<bool()> leaves;                     // nothing is answered any more, the next daemon does
    std::function<void(std::function<void()>)> post;  // runs it where nobody waits but who has asked
};

struct Call {
    const Mount& mount;
    const Json& request;
    const sys::Peer& peer;
    std::function<bool()> cancelled;  // whoever has asked is gone
};

struct Command {
    std::string_view name;
    // It may ask the branches something, which may take long when one hangs: it is posted.
    bool asks_branches;
    Json (*run)(const Call&);
};
std::span<const Command> command_table();

Json refusal(std::string_view why);
// What is no object with a command that there is, is refused.
const Command* find_command(const Json& request);
std::string unknown_command(const Json& request);

}  // namespace plyfs::control

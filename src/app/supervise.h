// The supervisor of a mount (supervise=on): a process that keeps the connection to the kernel and what has to outlive a
// daemon (fuse/supervision.h), and starts another daemon when one dies. It does nothing else, has one thread and opens
// no file, so that there is little to die of.
#pragma once

#include <signal.h>

#include <functional>
#include <optional>
#include <string>

#include "app/supervisor_state.h"
#include "fuse/supervision.h"

namespace plyfs::app {

// In a child: serves, over the connection of an earlier daemon if there was one; the exit code of the process.
using Daemon = std::function<int(fuse::Supervision& supervision)>;

struct Supervised {
    Daemon daemon;
    std::function<void()> on_ready;       // in the supervisor, once the first daemon serves
    std::string amendments;               // control/amendments: what is known now and would not be found again
    std::optional<Program> program;       // to become again (plyctl upgrade); none: it can not
    std::optional<SupervisorState> left;  // by the program before this one; none: nothing is mounted yet
};

// What a supervisor waits for, and has blocked before it has a connection that would end with it.
sigset_t handled_signals();

// Returns in the supervisor when the mount has ended, and in each daemon with its code: either is to exit with what it
// returns.
// Children are forked and not executed: what a configuration names was resolved before anything was mounted, and can
// not be resolved through a mount that nobody serves. Throws std::runtime_error.
int supervise(Supervised supervised);

}  // namespace plyfs::app

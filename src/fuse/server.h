// Server: what the request handlers share; the userdata of the libfuse session.
#pragma once

#include "control/control_file.h"
#include "control/counters.h"
#include "control/status.h"
#include "fuse/executor.h"
#include "fuse/heap_trim.h"
#include "fuse/lock_waiter.h"
#include "fuse/overdue.h"
#include "fuse/takeover.h"
#include "ops/context.h"
#include "ops/locks.h"
#include "sys/busy_reader.h"

namespace plyfs::fuse {

struct Server {
    Server(const config::Config& config, Tree& tree, BackingRegistrar& registrar, bool releases_are_late,
           std::size_t executor_threads)
        : ctx{tree, registrar, {}, releases_are_late, {}, {}},
          control(config),
          reader(config.busy_poll),
          overdue(tree.set(), config.branch_timeout),
          executor(executor_threads) {
        ctx.timeouts.set(config);
    }
    ops::Context ctx;
    control::RequestCounters requests;
    control::MountFacts facts;
    control::ControlFile control;
    void* owner = nullptr;  // the session, for INIT
    ops::LockOwners lock_owners;
    LockWaiter lock_waiter{ctx};
    bool forwards_locks = false;
    HeapTrim heap_trim;
    sys::BusyReader reader;  // of /dev/fuse
    Overdue overdue;
    Takeover takeover{reader};
    Executor executor;  // last: its threads use the rest
};

}  // namespace plyfs::fuse

// Server: what the request handlers share; the userdata of the libfuse session.
#pragma once

#include <thread>

#include "base/log.h"
#include "control/control_file.h"
#include "control/counters.h"
#include "control/status.h"
#include "fuse/executor.h"
#include "fuse/heap_trim.h"
#include "fuse/lock_waiter.h"
#include "fuse/overdue.h"
#include "fuse/takeover.h"
#include "node/change_watch.h"
#include "ops/context.h"
#include "ops/locks.h"
#include "sys/busy_reader.h"

namespace plyfs::fuse {

struct Server {
    Server(const config::Config& config, Tree& tree, BackingRegistrar& registrar, bool releases_are_late,
           std::size_t executor_threads, OpenLedger* ledger)
        : ctx{tree, registrar, {}, releases_are_late, {}, {}},
          control(config, ledger ? control::read_amendments(ledger->amendments()) : control::Amendments(),
                  keep_in(ledger)),
          reader(config.busy_poll, std::thread::hardware_concurrency()),
          overdue(tree.set(), config.branch_timeout),
          executor(executor_threads) {
        ctx.timeouts.set(config);
    }
    // Where what is set while it is mounted is kept for the next daemon; null: nowhere.
    static control::ControlFile::Keep keep_in(OpenLedger* ledger) {
        if (!ledger) return {};
        return [ledger](const std::string& text) {
            if (!ledger->amend(text, OpenLedger::Amendment::proven)) {
                log::warn("what was set is not known to the next daemon: there is no room for so much");
            }
        };
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
    std::atomic<bool> hands_over{false};    // to the next daemon (fuse/handover.h)
    std::atomic<bool> has_answered{false};  // that it does: whatever is asked from then on is for the next one
    // Where there was no supervisor: leaves everything to the one that was started; returns why not.
    std::function<std::string()> leave_late;
    ChangeWatch* changes = nullptr;  // null: there is none
    Executor executor;               // last: its threads use the rest
};

}  // namespace plyfs::fuse

// A mount that nobody supervises, until another daemon is wanted for it: then the daemon starts a supervisor. That
// reads its command line and configuration while the mount is served, for any of it may lie there; then it waits until
// the daemon leaves it the connection to the kernel and ends.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/supervisor_state.h"
#include "config/config.h"
#include "fuse/supervision.h"
#include "sys/shared_memory.h"

namespace plyfs::app {

class LateSupervisor : public fuse::LateStart {
  public:
    // Null: it can not be for a mount like this, or there is no memory for what the next daemon has to know.
    // amendments: what is known now and would not be found again.
    static std::unique_ptr<LateSupervisor> make(const config::Config& config, std::optional<Program> program,
                                                const std::string& amendments);
    ~LateSupervisor() override { dismiss(); }
    LateSupervisor(const LateSupervisor&) = delete;
    LateSupervisor& operator=(const LateSupervisor&) = delete;
    fuse::Supervision& supervision() { return supervision_; }

    bool start(bool installed) override;
    std::string leave(const std::vector<BorrowedFd>& connection) override;
    void dismiss() final;

  private:
    LateSupervisor(Program program, sys::SharedMemory opens, sys::SharedMemory names);
    [[noreturn]] void execute(bool installed, UniqueFd line);

    const Program program_;
    sys::SharedMemory opens_;
    sys::SharedMemory names_;
    fuse::Supervision supervision_;
    UniqueFd line_;   // to the one that waits
    pid_t pid_ = -1;  // its
};

// In that: says that it would go on, and waits for what the daemon leaves. False: nothing, it changed its mind.
bool wait_for_daemon(SupervisorState& state);

}  // namespace plyfs::app

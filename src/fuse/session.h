// Session: one mount's connection to the kernel: what is asked of it at the mount and at INIT, which transport carries
// the requests, and the loop that serves them until the mount is gone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "control/commands.h"
#include "fuse/supervision.h"
#include "fuse/transport.h"
#include "node/change_watch.h"
#include "node/tree.h"

namespace plyfs::fuse {

std::string libfuse_version();
// One line on stdout: the newest version of the kernel's FUSE interface that libfuse speaks.
void print_protocol();

class Session {
  public:
    // supervision: null, or what lives as long as the session.
    Session(const config::Config& config, Tree& tree, TransportChoice transport, DepthChoice depth,
            Supervision* supervision = nullptr);
    ~Session();

    // What keeps the kernel's memory of the mount right, while it is served; null, and why not.
    void watch_changes(std::unique_ptr<ChangeWatch> watch, std::string reason);
    // Or takes over the connection of an earlier daemon. False, and one line on stderr by the kernel's helper or in
    // `failure`, when the mount was refused.
    bool mount(std::string& failure);
    // What is left to do for this process when the mount is gone and threads of ours do not come back from a branch
    // that hangs: to leave without them. Called by another thread, and does not return.
    void when_stuck(std::function<void()> leave);
    // For whoever controls the mount, while it is served.
    control::Mount control(std::function<control::ReadAgain()> read_config);
    // Serves until umount or a signal; `ready` is called when the kernel has been answered, with a line about it for
    // the log. The exit code of the process.
    int serve(const std::function<void(const std::string& how)>& ready);
    void unmount();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace plyfs::fuse

// Going to the background, and telling whoever started us when the mount answers.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"

namespace plyfs::app {

class Readiness {
  public:
    // In the child: forks, runs `work` there and ends the process with its code. In the parent: waits for
    // ready() (then 0) or for the child's end (then its exit code).
    int detach(const std::function<int()>& work);
    // In the child, once: the parent goes, and the terminal is let go of: nobody waits for our stderr any
    // more. Does nothing in the foreground.
    void ready();

  private:
    UniqueFd pipe_;  // the child's end
};

// setns(2) to a mount namespace given by a path or a process id, as mount -N has it. Throws
// std::runtime_error.
void enter_mount_namespace(const std::string& where);

}  // namespace plyfs::app

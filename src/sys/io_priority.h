// The I/O priority of a thread (ioprio_set(2)), taken over from somebody else for a while.
#pragma once

#include <sys/types.h>

namespace plyfs::sys {

// While it lives the calling thread reads and writes with the priority of another one. Does nothing where that can not
// be asked for, or is the default.
class IoPriorityOf {
  public:
    explicit IoPriorityOf(pid_t thread);
    ~IoPriorityOf();
    IoPriorityOf(const IoPriorityOf&) = delete;
    IoPriorityOf& operator=(const IoPriorityOf&) = delete;

  private:
    int before_ = -1;
};

}  // namespace plyfs::sys

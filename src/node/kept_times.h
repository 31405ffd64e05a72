// Keeps a directory's times over a change that no user made, such as an entry that appears by copy-up. Those who do so
// at the same time keep what the first has met, and what a user sets meanwhile is kept instead.
#pragma once

#include "overlay/layer_dir.h"
#include "sys/stat.h"

namespace plyfs {

class KeptTimes {
  public:
    explicit KeptTimes(SharedDir dir);
    ~KeptTimes();
    KeptTimes(const KeptTimes&) = delete;
    KeptTimes& operator=(const KeptTimes&) = delete;

  private:
    SharedDir dir_;
    const std::uint64_t identity_;  // asked for once: it may be told the next time only
    bool kept_ = false;
};

// As a user wants them.
Status set_directory_times(BorrowedFd dir, const timespec& atime, const timespec& mtime);

}  // namespace plyfs

// Keeps a directory's times over a change that no user made, such as an entry that appears by copy-up. What a user sets
// meanwhile stays.
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

    // Those that are at work, of directories that share a slot.
    struct Keepers;

  private:
    SharedDir dir_;
    Keepers& keepers_;
    Result<sys::Stat> st_;
};

// As a user wants them. May wait for the few calls between which others keep what was there before.
Status set_directory_times(BorrowedFd dir, const timespec& atime, const timespec& mtime);

}  // namespace plyfs

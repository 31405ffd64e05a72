// Keeps a directory's times over a change that no user made, such as an entry that appears by copy-up.
#pragma once

#include "base/log.h"
#include "overlay/layer_dir.h"
#include "sys/attributes.h"
#include "sys/stat.h"

namespace plyfs {

class KeptTimes {
  public:
    explicit KeptTimes(SharedDir dir) : dir_(std::move(dir)), st_(sys::stat_fd(*dir_)) {}
    ~KeptTimes() {
        if (!st_) return;
        const timespec atime{st_->stx_atime.tv_sec, st_->stx_atime.tv_nsec};
        const timespec mtime{st_->stx_mtime.tv_sec, st_->stx_mtime.tv_nsec};
        // Times are a courtesy here: the copy itself stands.
        if (!sys::set_times(*dir_, atime, mtime)) log::debug("times of a directory were not kept after a copy-up");
    }
    KeptTimes(const KeptTimes&) = delete;
    KeptTimes& operator=(const KeptTimes&) = delete;

  private:
    SharedDir dir_;
    Result<sys::Stat> st_;
};

}  // namespace plyfs

// OwnMount: the mount in which the upper and the work directory of layers lie, cloned for this daemon alone. As with
// overlayfs, what they lie on can be unmounted as soon as the layered mount is: nobody meets EBUSY until we have let
// go.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "sys/mount.h"

namespace plyfs {

class OwnMount {
  public:
    OwnMount() = default;  // of nothing: directories are opened where they are seen
    // Of the mount that two directories, by their canonical paths, lie in; of nothing where that can not be cloned.
    static OwnMount around(const std::string& upper, const std::string& work,
                           sys::AccessTimes access_times = sys::AccessTimes::as_mounted);
    // One of the two (O_PATH).
    Result<UniqueFd> open(const std::string& path) const;

  private:
    Result<UniqueFd> find(const std::string& path) const;  // in the clone, if it is the one that is seen

    std::string place_;  // where the mount is seen, without a slash at the end
    UniqueFd clone_;
};

}  // namespace plyfs

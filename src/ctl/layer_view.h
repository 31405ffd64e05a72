// The layers of a mount as they lie on the disk, for those who look at them beside the mount. Nothing is changed: all
// are opened through read-only clones of their mounts, where we may make such.
#pragma once

#include <memory>
#include <string>

#include "ctl/mounts.h"
#include "overlay/resolver.h"

namespace plyfs::ctl {

class LayerView {
  public:
    // Throws Failure for a pool, for layers without an upper one, and where they can not be reached from here.
    explicit LayerView(const Mount& mount);

    const std::shared_ptr<const BranchSet>& set() const { return set_; }
    // Their roots.
    Layer upper() const { return root_of(0); }
    Layers below() const;

  private:
    Layer root_of(int index) const;

    std::shared_ptr<const BranchSet> set_;
};

// The directory of that name which layers together make, by what was found of it there.
Result<Layers> open_merged(const BranchSet& set, const Layers& parent, const Name& name, const Resolved& found);

}  // namespace plyfs::ctl

// The options of a mount while it is there, and the two files in a pool's root, .mergerfs and .plyfs, by whose extended
// attributes it is asked and changed as well: user.mergerfs.OPTION and user.plyfs.OPTION, either name on either file.
// They lie on no branch and are not listed; what a branch has under these names is not seen. Nothing set here outlives
// the mount.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "config/config.h"
#include "ops/context.h"

namespace plyfs::control {

// Ids that no node has: beyond the last place of the node table.
bool is_control_file(NodeId id);

class ControlFile {
  public:
    explicit ControlFile(config::Config config);

    // The answer to a lookup of one of the two names in the root of a pool; none for all other names.
    std::optional<ops::Entry> find(ops::Context& ctx, NodeId parent, std::string_view name) const;
    ops::Attr show(const ops::Context& ctx, NodeId id) const;

    // Attributes by their whole names. ENODATA: there is none of this name.
    Result<std::string> get(std::string_view attribute) const;
    // Each with a NUL after it.
    std::string list(NodeId id) const;
    // EINVAL: no value of this option; EROFS: it can not be changed while mounted. All of a change is there for a
    // request, or nothing.
    Status set(ops::Context& ctx, std::string_view attribute, std::string_view value);
    // The same by options' names, for whoever can be told why not.
    struct NamedValue {
        std::string_view name;
        std::string value;
    };
    std::vector<NamedValue> values() const;
    Result<std::string> value(std::string_view name) const;
    Status change(ops::Context& ctx, std::string_view name, std::string_view value, std::string& why);
    // What the configuration says by now, `fresh`, instead of what it said. What can not change while mounted stays.
    struct Reloaded {
        std::vector<std::string> changed;
        std::vector<std::string> kept;
    };
    Reloaded reload(ops::Context& ctx, config::Config fresh);
    config::Config config() const {
        MutexLock lock(mutex_);
        return config_;
    }
    void set_branch_mode(std::size_t branch, config::BranchMode mode) {
        MutexLock lock(mutex_);
        config_.branches[branch].mode = mode;
    }
    // Changes on the branches are heard of, or no longer: the timeouts follow.
    void set_watched(ops::Context& ctx, bool watched);

  private:
    const timespec since_;
    mutable Mutex mutex_;
    config::Config config_ GUARDED_BY(mutex_);
};

}  // namespace plyfs::control

// The options of a mount while it is there, and the two files in a pool's root, .mergerfs and .plyfs, by whose extended
// attributes it is asked and changed as well: user.mergerfs.OPTION and user.plyfs.OPTION, either name on either file.
// They lie on no branch and are not listed; what a branch has under these names is not seen. Nothing set here outlives
// the mount; what is set is kept for the next daemon of it, where there may be one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "config/config.h"
#include "config/option_words.h"
#include "control/amendments.h"
#include "ops/context.h"

namespace plyfs::control {

// Ids that no node has: beyond the last place of the node table.
bool is_control_file(NodeId id);

class ControlFile {
  public:
    // keep: is given all amendments after each change; may be empty.
    using Keep = std::function<void(const std::string& amendments)>;
    explicit ControlFile(config::Config config, Amendments amendments = {}, Keep keep = {});

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
    // What to change the branches to by the attribute `branches` of either file; EROFS: nobody supervises the mount.
    static bool is_of_branches(std::string_view attribute);
    Result<Succession> plan_branches(ops::Context& ctx, std::string_view value, bool can_be_followed) const;
    // Of options by their names, for whoever can be told why not.
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
        std::vector<std::string> overruled;  // by the command line of the mount
    };
    Reloaded reload(ops::Context& ctx, config::Config fresh);
    // The options of a remount: one that is written as the mount has it asks for nothing, the others are set, all of
    // them or, where there is a fault, none. only_check: none in any case.
    struct Remounted {
        std::vector<std::string> changed;
        std::vector<std::string> faults;
    };
    enum class Remount { only_check, carry_out };
    Remounted remount(ops::Context& ctx, const std::vector<config::OptionWord>& words, Remount how);
    config::Config config() const {
        MutexLock lock(mutex_);
        return config_;
    }
    Amendments amendments() const {
        MutexLock lock(mutex_);
        return amendments_;
    }
    void set_branch_mode(std::size_t branch, config::BranchMode mode);
    // Changes on the branches are heard of, or no longer: the timeouts follow.
    void set_watched(ops::Context& ctx, bool watched);

  private:
    void keep() REQUIRES(mutex_);

    const timespec since_;
    mutable Mutex mutex_;
    config::Config config_ GUARDED_BY(mutex_);
    Amendments amendments_ GUARDED_BY(mutex_);
    const Keep keep_;
};

}  // namespace plyfs::control

// The steps of a rename on the branches, as overlay/rename_plan has planned them: each leaves the old or the new state
// of every name to be seen, and so does being killed between two of them.
#pragma once

#include <optional>
#include <vector>

#include "ops/gone.h"
#include "overlay/rename_plan.h"

namespace plyfs::ops {

// One of the two names.
struct RenameSide {
    NodeRef parent;
    Name name;
    std::optional<AtName> at;  // none: nothing is seen there
    Layers layers;             // of the parent
    std::vector<Presence> presence;
    std::size_t visible_layers = 0;
    bool fixed = false;      // a directory with parts on branches that may not be modified
    bool redirects = false;  // to which a redirect may lead
    Link link() const { return {parent, name.str()}; }
};

// What happens to the two names on one branch.
struct RenameStep {
    enum class Kind { there, back, both };
    BranchIndex branch;
    Kind kind;
    SharedDir from;
    SharedDir to;
    RenameStep undone() const;
};

// The first of them decides. Makes the parents' directories where they are needed; no node is locked yet.
Result<std::vector<RenameStep>> prepare_steps(Context& ctx, const RenamePlan& plan, const RenameSide& from,
                                              const RenameSide& to, bool exchange);
// All of them. An error means that nothing has changed.
Status take_steps(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to,
                  const std::vector<RenameStep>& steps);

// What is left over elsewhere; it is hidden already, or the old target that may be seen until then.
Status remove_leftovers(Context& ctx, const RenamePlan& plan, const RenameSide& from, const RenameSide& to);

}  // namespace plyfs::ops

// The branch resolver: which branch answers for a name in a directory of the union. Layers are those branches on which
// the directory exists and is merged, in order of priority; a whiteout ends the search, a directory goes on collecting
// the directories of its name below until one is opaque, and anything else wins alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/branch_set.h"
#include "overlay/layer_dir.h"
#include "sys/stat.h"

namespace plyfs {

using BranchIndex = std::int16_t;

// One branch's directory of a merged directory, held open by the caller.
struct Layer {
    BranchIndex branch;
    SharedDir dir;
    BorrowedFd fd() const { return *dir; }
};
using Layers = std::vector<Layer>;

// What one layer has under a name. A file of AUFS' that hides the name lies beside it, so both can be there: then the
// object is seen, and hides what is below as an opaque directory does.
struct LayerEntry {
    enum class Kind { nothing, object, whiteout };
    Kind kind = Kind::nothing;
    bool beside = false;  // the name is hidden below by a file beside it
    sys::Stat st;         // of the object, or of the whiteout in its place
};

// Whether a mark beside the name is asked for: not where it could not change the answer. `if_needed`: when there is no
// object, or a directory.
enum class Beside { no, if_needed, yes };
Result<LayerEntry> look_in(const BranchSet& set, const Layer& layer, const Name& name, Beside beside);

// The facts of overlay/layer_dir.h, asked anew where we write such marks ourselves.
bool may_hold_aufs_names(const BranchSet& set, const Layer& layer);
Result<bool> holds_xattr_whiteouts(const BranchSet& set, const Layer& layer);
Result<bool> is_opaque(const BranchSet& set, const Layer& dir);

struct Hit {
    BranchIndex branch;
    sys::Stat st;
    bool whiteout = false;
    bool beside = false;  // of a whiteout: a file beside the name; an object of the same branch may come before it
};

struct Resolved {
    BranchIndex branch = -1;          // the winner
    sys::Stat st;                     // of the winner; of a directory, of all branches that may change
    std::vector<BranchIndex> layers;  // of a directory: all merged branches, the winner first
    Layers opened;                    // those of them that had to be opened
};

// ENOENT when no branch has the name or a whiteout hides it.
Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name);

// Everything of the name on every layer down to the first whiteout, also what a file or an opaque directory hides:
// removing that would reveal it, so an unlink, a rename or a whiteout decision has to know. The whiteout itself is the
// last hit.
Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name);

}  // namespace plyfs

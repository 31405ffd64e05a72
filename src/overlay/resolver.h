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
#include "sys/stat.h"

namespace plyfs {

using BranchIndex = std::int16_t;

// One branch's directory of a merged directory, held open by the caller.
struct Layer {
    BranchIndex branch;
    std::shared_ptr<const UniqueFd> dir;
    BorrowedFd fd() const { return *dir; }
};
using Layers = std::vector<Layer>;

struct Hit {
    BranchIndex branch;
    sys::Stat st;
    bool whiteout = false;
};

struct Resolved {
    BranchIndex branch = -1;          // the winner
    sys::Stat st;                     // of the winner; of a directory, of all branches that may change
    std::vector<BranchIndex> layers;  // of a directory: all merged branches, the winner first
};

// ENOENT when no branch has the name or a whiteout hides it.
Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name);

// Everything of the name on every layer down to the first whiteout, also what a file or an opaque directory hides:
// removing that would reveal it, so an unlink, a rename or a whiteout decision has to know. The whiteout itself is the
// last hit.
// opened: receives an O_PATH descriptor of the first hit, the very object that its `st` is of.
Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name,
                                  UniqueFd* opened = nullptr);

}  // namespace plyfs

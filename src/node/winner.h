// The winner of a directory, while what the winner is may change.
#pragma once

#include "node/tree.h"

namespace plyfs {

struct WinnerDir {
    SharedDir dir;
    BranchIndex branch = -1;
};

// Looked for again as long as another branch has become the winner meanwhile: that of the root does when its branch
// goes, and the root can not be walked to anew.
Result<WinnerDir> winner_dir(Tree& tree, const NodeRef& dir);

}  // namespace plyfs

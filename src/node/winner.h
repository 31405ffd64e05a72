// The winner of a directory, while what the winner is may change.
#pragma once

#include "node/tree.h"

namespace plyfs {

struct WinnerDir {
    SharedDir dir;
    BranchIndex branch = -1;
};

// Its first part went from its branch, by another way than the mount: the next one that is there is the winner from now
// on, so that who stands in the directory stands in what is left of it. False: there is none, or layers do not allow
// it.
bool lose_winner(Tree& tree, const NodeRef& dir, BranchIndex lost);

// Looked for again as long as another branch has become the winner meanwhile: that of the root does when its branch
// goes, and the root can not be walked to anew.
Result<WinnerDir> winner_dir(Tree& tree, const NodeRef& dir);

}  // namespace plyfs

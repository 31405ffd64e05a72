#include "node/winner.h"

namespace plyfs {

Result<WinnerDir> winner_dir(Tree& tree, const NodeRef& dir) {
    for (;;) {
        const BranchIndex branch = LockedNode(*dir)->winner;
        auto at = tree.dir_on(dir, branch);
        if (at) return WinnerDir{std::move(*at), branch};
        if (LockedNode(*dir)->winner == branch) return at.error();
    }
}

}  // namespace plyfs

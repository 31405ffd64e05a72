#include "node/winner.h"

#include <algorithm>

#include "node/source.h"
#include "overlay/layer_names.h"

namespace plyfs {
namespace {

// What is there under the directory's name on one of its other branches.
Result<sys::Stat> look_at_part(Tree& tree, const NodeRef& dir, BranchIndex branch) {
    const auto at = TRY(tree.dir_on(dir, branch));
    const auto st = TRY(tree.set().at(branch).stat_fd(*at));
    if (st.stx_nlink > 0) return st;
    tree.dirs().drop(*dir, branch);
    return Errno(ENOENT);
}

}  // namespace

bool lose_winner(Tree& tree, const NodeRef& dir, BranchIndex lost) {
    if (tree.set().rules().fixed || tree.set().uses_marks()) return false;
    std::vector<BranchIndex> rest;
    {
        LockedNode state(*dir);
        if (state->unlinked || state->links.empty()) return false;
        if (state->winner != lost) return true;
        rest = state->as_dir->layers;
        std::erase(rest, lost);
    }
    while (!rest.empty()) {
        const auto st = look_at_part(tree, dir, rest.front());
        if (!st) {
            rest.erase(rest.begin());
            continue;
        }
        LockedNode state(*dir);
        if (state->winner != lost) return true;
        take_parts(tree, state, sys::key_of(*st), std::move(rest));
        return true;
    }
    return false;
}

Result<WinnerDir> winner_dir(Tree& tree, const NodeRef& dir) {
    for (;;) {
        const BranchIndex branch = LockedNode(*dir)->winner;
        auto at = tree.dir_on(dir, branch);
        if (at) return WinnerDir{std::move(*at), branch};
        const bool still = LockedNode(*dir)->winner == branch;
        if (still && !lose_winner(tree, dir, branch)) return at.error();
    }
}

}  // namespace plyfs

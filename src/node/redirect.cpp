#include "node/redirect.h"

#include <algorithm>

#include "overlay/marks.h"

namespace plyfs {

bool has_fixed_parts(Tree& tree, const NodeRef& node) {
    LockedNode state(*node);
    if (!node->is_dir()) return state->content_branch >= 0;
    return std::any_of(state->as_dir->layers.begin(), state->as_dir->layers.end(),
                       [&](BranchIndex branch) { return !tree.set().at(branch).writable(); });
}

Status make_findable(Tree& tree, const NodeRef& node) {
    if (!has_fixed_parts(tree, node)) return {};
    if (!tree.set().rules().make_redirects) return Errno(EXDEV);
    auto places = TRY(tree.fixed_places(node));
    const std::string path = TRY(tree.redirect_to(node));
    {
        LockedNode state(*node);
        if (state->rare->redirect && *state->rare->redirect == path) return {};
    }
    auto marked = marks::set_redirect(TRY(tree.find_object(node)).fd, path, tree.set().marks());
    if (!marked) {
        const int e = marked.error().value();
        return e == E2BIG || e == ERANGE || e == ENOSPC ? Errno(EXDEV) : marked.error();
    }
    LockedNode state(*node);
    state->rare.set(&Rare::detours, std::move(places));
    state->rare.set(&Rare::redirect, std::make_unique<std::string>(path));
    return {};
}

}  // namespace plyfs

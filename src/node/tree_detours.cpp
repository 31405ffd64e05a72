// The part of Tree that knows of metacopies and redirects: where on a branch something lies under another name than the
// union's.
#include "node/tree.h"
#include "sys/open.h"

namespace plyfs {

// Where a metacopy's content lies: a name in a directory.
struct Tree::ContentPlace {
    Located what;  // but for descriptor and stat; of no branch: the node is no metacopy
    SharedDir parent;
    WalkedTo walked;  // in place of a parent's directory that is known
    std::string name;

    BorrowedFd dir() const { return parent ? BorrowedFd(*parent) : BorrowedFd(walked.dir); }
};

Result<Tree::ContentPlace> Tree::place_of_content(const NodeRef& node) {
    ContentPlace place;
    Located& out = place.what;
    std::string path;
    NodeRef parent;
    {
        LockedNode state(*node);
        out.branch = state->content_branch;
        out.generation = node->generation();
        out.data_generation = node->data_generation();
        const Detour* detour = detour_on(state->rare->detours, out.branch);
        if (detour) path = detour->path;
        if (!detour || !detour->from_root) {
            if (out.branch >= 0 && state->links.empty()) return Errno(ESTALE);
            if (!state->links.empty()) parent = state->links[0].parent;
            if (!detour && parent) path = state->links[0].name;
        }
    }
    if (out.branch < 0) return place;
    if (parent) {
        place.parent = TRY(dir_on(parent, out.branch));
        place.name = std::move(path);
    } else {
        place.walked = TRY(walk_from_root(set_->at(out.branch).root(), path));
        place.name = place.walked.name;
    }
    return place;
}

Result<Located> Tree::find_content(const NodeRef& node) {
    auto place = TRY(place_of_content(node));
    if (place.what.branch < 0) return find_object(node);
    Located out = std::move(place.what);
    out.fd = TRY(sys::open_path(place.dir(), TRY(Name::parse(place.name))));
    out.st = TRY(sys::stat_fd(out.fd));
    // Where its content was something else lies now: the layer was changed under the mount.
    if (!sys::is_regular(out.st)) return Errno(ESTALE);
    return out;
}

Result<sys::Stat> Tree::stat_content(const NodeRef& node) {
    const auto place = TRY(place_of_content(node));
    if (place.what.branch < 0) return stat_object(node);
    auto st = TRY(sys::stat_at(place.dir(), TRY(Name::parse(place.name))));
    if (!sys::is_regular(st)) return Errno(ESTALE);
    return st;
}

Result<std::string> Tree::path_on(const NodeRef& node, BranchIndex branch) {
    std::string path;
    for (NodeRef at = node; at != root_;) {
        LockedNode state(*at);
        if (state->links.empty()) return Errno(ESTALE);
        const Detour* detour = detour_on(state->rare->detours, branch);
        const std::string& part = detour ? detour->path : state->links[0].name;
        path = path.empty() ? part : part + "/" + path;
        if (detour && detour->from_root) break;
        NodeRef parent = state->links[0].parent;
        at = std::move(parent);
    }
    return path;
}

Result<Detours> Tree::fixed_places(const NodeRef& node) {
    std::vector<BranchIndex> branches;
    {
        LockedNode state(*node);
        for (BranchIndex branch : state->as_dir->layers) {
            if (!set_->at(branch).writable()) branches.push_back(branch);
        }
        if (state->content_branch >= 0) branches.push_back(state->content_branch);
    }
    if (branches.empty()) return Detours();
    std::vector<Detour> out;
    for (BranchIndex branch : branches) out.push_back({branch, true, TRY(path_on(node, branch))});
    return Detours(std::make_shared<const std::vector<Detour>>(std::move(out)));
}

Result<std::string> Tree::redirect_to(const NodeRef& node) {
    std::string path;
    for (NodeRef at = node; at != root_;) {
        LockedNode state(*at);
        if (state->links.empty()) return Errno(ESTALE);
        const std::string& part = state->rare->redirect ? *state->rare->redirect : state->links[0].name;
        if (part.front() == '/') return part + path;
        path = "/" + part + path;
        NodeRef parent = state->links[0].parent;
        at = std::move(parent);
    }
    return path;
}

}  // namespace plyfs

#include "node/changed_places.h"

#include <algorithm>

#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// A file system may have far more directories than anybody is interested in.
constexpr std::size_t kMostKnown = 8192;
constexpr NodeId kOutside = 0;  // in no branch

std::string text_of(std::uint64_t fs, const sys::FsEvents::Handle& handle) {
    std::string out(reinterpret_cast<const char*>(&fs), sizeof fs);
    out.append(reinterpret_cast<const char*>(&handle.type), sizeof handle.type);
    return out.append(reinterpret_cast<const char*>(handle.bytes.data()), handle.bytes.size());
}

// The part of a path below a directory, "" for itself; none for what lies elsewhere.
std::optional<std::string_view> below(std::string_view path, std::string_view top) {
    if (top == "/") return path.substr(1);
    if (!path.starts_with(top)) return std::nullopt;
    if (path.size() == top.size()) return std::string_view();
    if (path[top.size()] != '/') return std::nullopt;
    return path.substr(top.size() + 1);
}

}  // namespace

void ChangedPlaces::learn_branches() {
    branches_.clear();
    known_.clear();
    for (const auto& branch : tree_.set().all()) {
        const auto fs = branch->present() ? sys::fs_id(branch->root()) : Errno(ENOENT);
        if (fs) branches_.push_back({*fs, static_cast<BranchIndex>(branch->index()), {}});
    }
}

void ChangedPlaces::rest() {
    for (OnFs& on : branches_) on.root.reset();
}

Result<UniqueFd> ChangedPlaces::open_on(OnFs& on, const sys::FileHandle& handle) {
    if (!on.root.valid()) on.root = TRY(sys::open_dir_for_reading(tree_.set().at(on.branch).root()));
    return sys::open_handle(on.root, handle);
}

Result<ChangedPlaces::Found> ChangedPlaces::open(std::uint64_t fs, const sys::FileHandle& handle) {
    for (OnFs& on : branches_) {
        if (on.fs != fs) continue;
        Found out;
        out.fd = TRY(open_on(on, handle));
        out.st = TRY(tree_.set().at(on.branch).stat_fd(out.fd));
        return out;
    }
    return Errno(ENOENT);
}

// The node that shows a directory which lies at this path on one branch or another.
NodeRef ChangedPlaces::node_at(std::string_view path) {
    for (const auto& branch : tree_.set().all()) {
        if (!branch->present()) continue;
        auto at = walk_from_root(branch->root(), path);
        if (!at) note_lack(at.error());
        const auto name = at ? Name::parse(at->name) : at.error();
        if (!name) continue;
        const auto st = branch->stat_at(at->dir, *name);
        if (!st) note_lack(st.error());
        if (!st || !sys::is_dir(*st)) continue;
        if (NodeRef node = tree_.nodes().find(sys::key_of(*st))) return node;
    }
    return {};
}

// False: it lies in no branch. Branches of one file system may be reached by several mounts, through each of which the
// directory has another path or none.
bool ChangedPlaces::find_by_path(std::uint64_t fs, const sys::FileHandle& dir, NodeRef& out) {
    bool inside = false;
    for (OnFs& on : branches_) {
        if (on.fs != fs) continue;
        const auto fd = open_on(on, dir);
        const auto path = fd ? sys::path_of(*fd) : fd.error();
        const auto top = sys::path_of(tree_.set().at(on.branch).root());
        if (!path) note_lack(path.error());
        if (!top) note_lack(top.error());
        if (!path || !top) return true;
        const auto rest = below(*path, *top);
        if (!rest) continue;
        inside = true;
        out = rest->empty() ? tree_.nodes().find(kRootId) : node_at(*rest);
        if (out) return true;
    }
    return inside;
}

NodeRef ChangedPlaces::find_dir(std::uint64_t fs, const sys::FsEvents::Handle& dir) {
    const std::string text = text_of(fs, dir);
    if (const auto known = known_.find(text); known != known_.end()) {
        if (known->second == kOutside) return {};
        if (NodeRef node = tree_.nodes().find_again(known->second)) return node;
        known_.erase(known);
    }
    const auto handle = dir.copy();
    const auto found = open(fs, handle);
    if (!found) note_lack(found.error());
    if (!found) return {};
    NodeRef node = tree_.nodes().find(sys::key_of(found->st));
    const bool inside = node || find_by_path(fs, handle, node);
    // Any moment somebody may look it up.
    if (!node && inside) return {};
    if (known_.size() >= kMostKnown) known_.clear();
    NodeId& known = known_[text];
    known = kOutside;
    if (node) known = LockedNode(*node)->face.id;
    return node;
}

NodeRef ChangedPlaces::find_object(std::uint64_t fs, const sys::FsEvents::Handle& object, bool is_dir) {
    if (is_dir) return find_dir(fs, object);
    const auto found = open(fs, object.copy());
    if (!found) note_lack(found.error());
    return found ? tree_.nodes().find(sys::key_of(found->st)) : NodeRef();
}

}  // namespace plyfs

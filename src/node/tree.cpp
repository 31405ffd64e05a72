#include "node/tree.h"

#include <algorithm>
#include <random>

#include "base/log.h"
#include "policy/placement.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// How often a place may move away under an optimistic look before we say ESTALE; each time means a rename or copy-up
// of this very object in between.
constexpr int kMaxLooks = 64;
constexpr int kMaxPoolsOnBranch = 64;

struct Place {
    NodeRef parent;
    std::string name;
    BranchIndex branch;
    sys::FileKey key;
    std::uint32_t generation;
};

bool is_gone(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE || e == ELOOP;
}

}  // namespace

Tree::Tree(std::shared_ptr<BranchSet> set, config::CreatePolicy create, std::unique_ptr<WorkDir> workdir,
           std::size_t descriptor_budget)
    : set_(std::move(set)),
      create_(create),
      workdir_(std::move(workdir)),
      pool_workdirs_(static_cast<std::size_t>(set_->size())),
      dirs_(descriptor_budget),
      kept_files_(static_cast<std::int64_t>(descriptor_budget)) {
    nodes_.set_observer(this);
    for (const auto& branch : set_->all()) {
        auto copy = sys::duplicate(branch->root());
        roots_.push_back(std::make_shared<const UniqueFd>(copy ? std::move(*copy) : UniqueFd()));
    }
    root_ = nodes_.make_root(S_IFDIR);
    LockedNode root(*root_);
    root->winner = 0;
    for (int i = 0; i < set_->size(); ++i) root->layers.push_back(static_cast<BranchIndex>(i));
    if (auto st = sys::stat_fd(set_->at(0).root())) {
        root->key = sys::key_of(*st);
        root->shown_inode = set_->shown_inode(root->key.dev, root->key.ino);
    }
}

Tree::~Tree() {
    MutexLock lock(pool_mutex_);
    for (std::size_t i = 0; i < pool_workdirs_.size(); ++i) {
        PoolWork& pool = pool_workdirs_[i];
        if (!pool.work) continue;
        pool.work.reset();
        // Empty unless something staged could not be removed; then the next mount sweeps it.
        auto removed = sys::remove_dir(set_->at(static_cast<int>(i)).root(), *Name::parse(pool.name));
        if (!removed) log::debug("{} stays: {}", pool.name, log::errno_text(removed.error().value()));
    }
}

Result<SharedDir> Tree::dir_on(const NodeRef& dir, BranchIndex branch) {
    SharedDir at;
    std::vector<NodeRef> below;  // from dir upwards, those not cached
    for (NodeRef node = dir;;) {
        if (node == root_) {
            at = roots_[static_cast<std::size_t>(branch)];
            break;
        }
        if ((at = dirs_.find(*node, branch))) break;
        LockedNode state(*node);
        if (state->links.empty()) return Errno(state->unlinked ? ENOENT : ESTALE);
        NodeRef parent = state->links[0].parent;
        below.push_back(std::move(node));
        node = std::move(parent);
    }
    while (!below.empty()) {
        const NodeRef node = std::move(below.back());
        below.pop_back();
        // Under the node's lock: a rename of this directory holds it, so name and parent belong together.
        LockedNode state(*node);
        if (state->links.empty()) return Errno(ESTALE);
        auto fd = TRY(sys::open_dir_path(*at, *Name::parse(state->links[0].name)));
        if (branch == state->winner && sys::key_of(TRY(sys::stat_fd(fd))) != state->key) return Errno(ESTALE);
        at = std::make_shared<const UniqueFd>(std::move(fd));
        dirs_.put(*node, branch, at);
    }
    return at;
}

Result<Layers> Tree::layers_of(const NodeRef& dir) {
    std::vector<BranchIndex> branches;
    {
        LockedNode state(*dir);
        if (state->unlinked) return Errno(ENOENT);
        branches = state->layers;
    }
    Layers out;
    out.reserve(branches.size());
    for (BranchIndex branch : branches) {
        auto fd = dir_on(dir, branch);
        if (fd) {
            out.push_back({branch, std::move(*fd)});
        } else if (!is_gone(fd.error())) {
            return fd.error();
        }
    }
    if (out.empty()) return Errno(ESTALE);
    return out;
}

// Calls use(branch, directory, name) for the place where the node's winner should be, until what it returns has the
// node's key. Use gives a Result of something with a member `st`.
template <typename Use>
auto Tree::with_place(const NodeRef& node, Use use)
    -> decltype(use(std::declval<const Branch&>(), BorrowedFd(), *Name::parse("x"))) {
    for (int look = 0; look < kMaxLooks; ++look) {
        Place place;
        {
            LockedNode state(*node);
            if (state->links.empty()) return Errno(ESTALE);
            place = {state->links[0].parent, state->links[0].name, state->winner, state->key, node->generation()};
        }
        auto dir = dir_on(place.parent, place.branch);
        auto found = dir ? use(set_->at(place.branch), **dir, *Name::parse(place.name)) : dir.error();
        if (found && sys::key_of(found->st) == place.key) {
            found->branch = place.branch;
            found->generation = place.generation;
            return found;
        }
        if (!found && !is_gone(found.error())) return found;
        LockedNode state(*node);
        const bool moved = node->generation() != place.generation || state->winner != place.branch;
        if (moved || state->links.empty() || state->links[0] != Link{place.parent, place.name}) continue;
        // The name leads elsewhere now. Another name of a hard link may still lead to the object.
        state->links.erase(state->links.begin());
        dirs_.drop(*place.parent, place.branch);
    }
    return Errno(ESTALE);
}

Result<Located> Tree::find_object(const NodeRef& node) {
    {
        LockedNode state(*node);
        const BranchIndex branch = state->winner;
        if (state->pinned.valid()) {
            auto fd = TRY(sys::duplicate(state->pinned));
            auto st = TRY(set_->at(branch).stat_fd(fd));
            return Located{std::move(fd), st, branch, node->generation()};
        }
    }
    if (node->is_dir()) {
        const BranchIndex branch = LockedNode(*node)->winner;
        auto fd = TRY(sys::duplicate(*TRY(dir_on(node, branch))));
        auto st = TRY(set_->at(branch).stat_fd(fd));
        return Located{std::move(fd), st, branch, node->generation()};
    }
    return with_place(node, [](const Branch& branch, BorrowedFd dir, const Name& name) -> Result<Located> {
        Located out;
        out.fd = TRY(sys::open_path(dir, name));
        out.st = TRY(branch.stat_fd(out.fd));
        return out;
    });
}

Result<sys::Stat> Tree::stat_object(const NodeRef& node) {
    BranchIndex branch;
    std::vector<BranchIndex> layers;
    {
        LockedNode state(*node);
        if (state->pinned.valid()) return set_->at(state->winner).stat_fd(state->pinned);
        branch = state->winner;
        layers = state->layers;
    }
    if (node->is_dir()) {
        auto st = TRY(set_->at(branch).stat_fd(*TRY(dir_on(node, branch))));
        // A cached descriptor of a directory that somebody removed on the branch.
        if (st.stx_nlink == 0) {
            dirs_.drop(*node, branch);
            return Errno(ESTALE);
        }
        for (BranchIndex other : layers) {
            if (other == branch || !set_->at(other).writable()) continue;
            auto dir = dir_on(node, other);
            if (!dir) continue;
            if (auto part = sys::stat_fd(**dir)) sys::add_directory(st, *part);
        }
        return st;
    }
    return TRY(with_place(node,
                          [](const Branch& at, BorrowedFd dir, const Name& name) -> Result<Located> {
                              Located out;
                              out.st = TRY(at.stat_at(dir, name));
                              return out;
                          }))
        .st;
}

Result<WorkDir*> Tree::workdir_of(BranchIndex branch) {
    if (workdir_) return workdir_.get();
    MutexLock lock(pool_mutex_);
    PoolWork& pool = pool_workdirs_[static_cast<std::size_t>(branch)];
    // Another pool may have the same branch, and has its own then.
    for (int number = 0; !pool.work; ++number) {
        std::string name = std::string(kPoolPrefix) + "work" + (number ? std::to_string(number) : "");
        auto work = WorkDir::open(set_->at(branch).root(), *Name::parse(name));
        if (work.failed_with(EBUSY) && number < kMaxPoolsOnBranch) continue;
        pool = {TRY(std::move(work)), std::move(name)};
    }
    return pool.work.get();
}

std::string_view Tree::reserved_prefix(const Node& dir) const {
    return !workdir_ && &dir == root_.get() ? std::string_view(kPoolPrefix) : std::string_view();
}

// Whether a directory made for `dir` on the branch would be seen: nothing between it and the directory's last layer may
// hide it. Where marks are in use we only know that of branches above that layer.
bool Tree::reaches(const NodeRef& dir, BranchIndex branch) {
    if (!set_->uses_marks()) return true;
    for (NodeRef node = dir; node;) {
        LockedNode state(*node);
        const auto& layers = state->layers;
        if (std::find(layers.begin(), layers.end(), branch) != layers.end()) return true;
        if (layers.empty() || branch > layers.back()) return false;
        NodeRef parent = state->links.empty() ? NodeRef() : state->links[0].parent;
        node = std::move(parent);
    }
    return true;
}

Result<std::vector<BranchIndex>> Tree::rank_branches(const NodeRef& dir, PlaceLimits limits) {
    std::vector<BranchIndex> layers = LockedNode(*dir)->layers;
    std::vector<policy::Candidate> candidates;
    for (const auto& branch : set_->all()) {
        const auto index = static_cast<BranchIndex>(branch->index());
        if (limits.above >= 0 && index >= limits.above) break;
        if (!branch->takes_new_names() || !reaches(dir, index)) continue;
        candidates.push_back({.branch = index, .mode = branch->mode()});
    }
    if (candidates.empty()) return Errno(EROFS);
    if (candidates.size() == 1) return std::vector<BranchIndex>{static_cast<BranchIndex>(candidates[0].branch)};
    for (auto& candidate : candidates) {
        const Space space = set_->at(candidate.branch).space();
        candidate.read_only_fs = space.read_only;
        candidate.no_inodes = space.no_inodes;
        candidate.available = space.available;
        candidate.total = space.total;
        candidate.has_parent = std::find(layers.begin(), layers.end(), candidate.branch) != layers.end();
    }
    auto ranked = TRY(policy::rank(create_, candidates, next_random()));
    return std::vector<BranchIndex>(ranked.begin(), ranked.end());
}

// One generator a thread: placement needs no secrets, only no lock.
std::uint64_t Tree::next_random() {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return generator();
}

CondVar& Tree::copy_condition(const Node& node) {
    return copy_conditions_[(reinterpret_cast<std::uintptr_t>(&node) >> 8) % std::size(copy_conditions_)];
}

}  // namespace plyfs

// The part of Tree that says where something new is made, and where it is prepared.
#include <algorithm>
#include <random>

#include "node/tree.h"
#include "policy/placement.h"

namespace plyfs {
namespace {

constexpr int kMaxPoolsOnBranch = 64;

}  // namespace

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
        pool.work->set_marks(set_->marks());
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

}  // namespace plyfs

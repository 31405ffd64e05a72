// The part of Tree that says where something new is made, and where it is prepared.
#include <algorithm>
#include <random>

#include "node/inode_calc.h"
#include "node/tree.h"
#include "overlay/pool_workdir.h"
#include "policy/placement.h"
#include "policy/rules.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

bool has(const std::vector<BranchIndex>& branches, int branch) {
    return std::find(branches.begin(), branches.end(), branch) != branches.end();
}

}  // namespace

Result<WorkDir*> Tree::workdir_of(BranchIndex branch) {
    if (workdir_) return workdir_.get();
    PoolWork& pool = pool_workdirs_[static_cast<std::size_t>(branch)];
    if (WorkDir* made = pool.work.load(std::memory_order_acquire)) return made;
    MutexLock making(pool.making);
    if (WorkDir* made = pool.work.load(std::memory_order_acquire)) return made;
    const std::uint32_t lost = pool.lost.load(std::memory_order_acquire);
    std::string name;
    auto work = TRY(open_pool_workdir(set_->at(branch).root(), name));
    // It is on what the branch was.
    if (pool.lost.load(std::memory_order_acquire) != lost) return Errno(ESTALE);
    work->set_marks(set_->marks());
    pool.name = std::move(name);
    pool.work.store(work.get(), std::memory_order_release);
    MutexLock lock(workdirs_mutex_);
    workdirs_made_.push_back(std::move(work));
    return workdirs_made_.back().get();
}

std::optional<std::uint64_t> Tree::calculated_inode(const NodeRef& parent, std::string_view name, BranchIndex branch,
                                                    std::uint64_t inode, bool directory) {
    const auto calc = pool().files.inodes;
    if (calc == config::InodeCalc::stable) return std::nullopt;
    std::string path;
    if (inode_is_of_path(calc, directory)) {
        const auto above = path_of(parent);
        if (!above) return std::nullopt;
        path = *above + "/" + std::string(name);
    }
    return calculate_inode(calc, directory, path, set_->at(branch).path(), inode);
}

OwnNames Tree::own_names(const Node& dir) const {
    if (&dir != root_.get()) return {};
    return {.work = !workdir_, .control = pool().files.control};
}

// Whether a directory made for `dir` on the branch would be seen: nothing between it and the directory's last layer may
// hide it. Where marks are in use we only know that of branches above that layer.
bool Tree::reaches(const NodeRef& dir, BranchIndex branch) {
    if (!set_->uses_marks()) return true;
    for (NodeRef node = dir; node;) {
        LockedNode state(*node);
        const auto& layers = state->as_dir->layers;
        if (std::find(layers.begin(), layers.end(), branch) != layers.end()) return true;
        if (layers.empty() || branch > layers.back()) return false;
        NodeRef parent = state->links.empty() ? NodeRef() : state->links[0].parent;
        node = std::move(parent);
    }
    return true;
}

// What the rules say of a name: by which policy, and on which branches (none: all).
struct Tree::Choice {
    config::Policy policy;
    std::span<const int> members;
};

Result<std::string> Tree::path_of(const NodeRef& node) {
    std::string path;
    for (NodeRef at = node; at != root_;) {
        LockedNode state(*at);
        if (state->links.empty()) return Errno(state->unlinked ? ENOENT : ESTALE);
        path.insert(0, "/" + state->links[0].name);
        NodeRef parent = state->links[0].parent;
        at = std::move(parent);
    }
    return path;
}

Result<Tree::Choice> Tree::choose_by_rules(const NodeRef& dir, const NewName& wanted) {
    const config::PoolOptions& options = pool();
    const bool moved = wanted.away_from >= 0;
    Choice choice{moved ? options.move_policy.value_or(config::Policy::pfrd) : options.policies.of(wanted.function),
                  {}};
    if (options.rules.empty() || wanted.name.empty() || !wanted.maker) return choice;
    const policy::NewName name{TRY(path_of(dir)) + "/" + std::string(wanted.name), wanted.maker->uid,
                               wanted.maker->gid};
    if (const config::PlacementRule* rule = policy::find_rule(options.rules, name)) {
        if (!moved) choice.policy = rule->policy.value_or(choice.policy);
        choice.members = rule->members;
    }
    return choice;
}

// What of the directory lies where.
void Tree::fill_in(const NodeRef& dir, config::Policy policy, bool farther,
                   std::vector<policy::Candidate>& candidates) {
    std::vector<bool> found(candidates.size());
    int level = 0;
    for (NodeRef node = dir; node; ++level) {
        LockedNode state(*node);
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (found[i]) continue;
            candidates[i].missing_parents = level;
            found[i] = has(state->as_dir->layers, candidates[i].branch);
            if (!found[i]) ++candidates[i].missing_parents;
        }
        if (!farther || state->links.empty()) break;
        NodeRef parent = state->links[0].parent;
        node = std::move(parent);
    }
    if (!policy::wants_times(policy)) return;
    for (auto& candidate : candidates) {
        if (candidate.missing_parents > 0) continue;
        auto at = dir_on(dir, static_cast<BranchIndex>(candidate.branch));
        auto st = at ? sys::stat_fd(**at) : at.error();
        if (st) candidate.modified = st->stx_mtime.tv_sec * 1'000'000'000 + st->stx_mtime.tv_nsec;
    }
}

bool Tree::may_take(const Branch& branch, const NewName& wanted) const {
    if (wanted.away_from < 0) return true;
    if (branch.index() == wanted.away_from) return false;
    return wanted.same_disk || branch.device() != set_->at(wanted.away_from).device();
}

// Where another branch can take it nobody waits for one that is late.
void Tree::prefer_prompt(std::vector<policy::Candidate>& candidates) const {
    const auto is_late = [&](const policy::Candidate& candidate) { return set_->at(candidate.branch).is_late(); };
    if (std::all_of(candidates.begin(), candidates.end(), is_late)) return;
    std::erase_if(candidates, is_late);
}

bool Tree::is_short(BranchIndex branch) const {
    if (!moves_files()) return false;
    const Space space = set_->at(branch).space();
    // 100% is every file, also where nothing was written yet.
    const auto reserve = reserve_of(pool().move_reserve, space.total);
    return reserve > 0 && space.available <= reserve;
}

Result<Tree::Ranking> Tree::rank_branches(const NodeRef& dir, const NewName& wanted) {
    const Choice choice = TRY(choose_by_rules(dir, wanted));
    std::vector<policy::Candidate> candidates;
    bool closed = wanted.above >= 0;  // a branch takes no new names here, by its mode or for what hides them
    for (const auto& branch : set_->all()) {
        const auto index = static_cast<BranchIndex>(branch->index());
        if (wanted.above >= 0 && index >= wanted.above) break;
        if (!branch->present() || !may_take(*branch, wanted)) continue;
        if (!choice.members.empty() &&
            std::find(choice.members.begin(), choice.members.end(), index) == choice.members.end()) {
            continue;
        }
        if (branch->takes_new_names() && reaches(dir, index)) {
            candidates.push_back({.branch = index, .mode = branch->mode()});
        } else {
            closed = true;
        }
    }
    if (set_->any_is_late()) prefer_prompt(candidates);
    Ranking ranking;
    // Of layers there is one, whatever its space.
    if (candidates.size() == 1 && !set_->at(candidates[0].branch).keeps_free() && wanted.bytes == 0) {
        ranking.branches.push_back(static_cast<BranchIndex>(candidates[0].branch));
        return ranking;
    }
    for (auto& candidate : candidates) {
        const Space space = set_->at(candidate.branch).space();
        candidate.read_only_fs = space.read_only;
        candidate.no_inodes = space.no_inodes;
        candidate.available = space.available;
        candidate.total = space.total;
        // A copy or a mark is for a name that is there already.
        if (wanted.above < 0) candidate.reserve = std::max(space.reserve, wanted.bytes);
    }
    const bool copies = wanted.above >= 0;
    fill_in(dir, choice.policy, copies || policy::reach_of(choice.policy) == policy::Reach::nearest, candidates);
    auto ranked = copies ? policy::rank_for_copy(choice.policy, candidates, next_random())
                         : policy::rank(choice.policy, candidates, next_random());
    if (!ranked && closed) return Errno(policy::graver(ranked.error().value(), EROFS));
    for (int branch : TRY(std::move(ranked))) ranking.branches.push_back(static_cast<BranchIndex>(branch));
    ranking.everywhere = policy::takes_all(choice.policy);
    return ranking;
}

bool Tree::keeps_paths() const {
    return !pool().ignore_paths && policy::keeps_to_paths(pool().policies.of(config::Function::create));
}

std::uint64_t Tree::next_random() {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return generator();
}

}  // namespace plyfs

// Tree: the union as a whole: its branches, the nodes known of it, and how to get from a node to what lies on a branch.
//
// Finding is optimistic: a node's place is read under its lock, the system calls run without it, and what was found is
// checked against the node's key; a place that changed meanwhile is tried again, one that changed behind our back is
// dropped and the answer is ESTALE, upon which the kernel walks anew.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "node/dir_cache.h"
#include "node/lasting_ids.h"
#include "node/node_table.h"
#include "node/own_closes.h"
#include "node/shown_inodes.h"
#include "overlay/index.h"
#include "overlay/layer_names.h"
#include "overlay/origins.h"
#include "overlay/own_names.h"
#include "overlay/workdir.h"
#include "policy/preference.h"
#include "sys/cred.h"

namespace plyfs {

// An object found on its branch.
struct Located {
    UniqueFd fd;  // O_PATH
    sys::Stat st;
    BranchIndex branch = -1;
    std::uint32_t generation = 0;
    std::uint32_t data_generation = 0;
};

struct TreeCounters {
    std::atomic<std::uint64_t> copyups{0};
    std::atomic<std::uint64_t> moves{0};
    std::atomic<std::uint64_t> relocations{0};  // names that were about to be on one branch less; see find_steadily()
    std::atomic<std::uint64_t> backings_opened{0};
    std::atomic<std::uint64_t> backings_closed{0};
    std::atomic<std::uint64_t> splits{0};
    std::atomic<std::uint64_t> stale{0};
    std::atomic<std::uint64_t> spared{0};     // branches not asked for a name that they were known to lack
    std::atomic<std::uint64_t> failovers{0};  // handles that went on with another copy
    std::atomic<std::uint64_t> heard{0};      // changes on the branches that others made, and we
    std::atomic<std::uint64_t> heard_own{0};
    std::atomic<std::uint64_t> expired{0};  // names and attributes that the kernel had to ask anew for that
    std::atomic<std::uint64_t> doubts{0};   // times that something may have been missed
};

class Tree : NodeTable::Observer {
  public:
    // workdir: of a layered mount; null for a pool, which makes its own when it needs one. descriptor_budget: how many
    // directories, and how many files, may be kept open only to save opening them again.
    Tree(std::shared_ptr<BranchSet> set, config::PoolOptions pool, std::unique_ptr<WorkDir> workdir,
         std::size_t descriptor_budget, config::LayerOptions layer_options = {});
    ~Tree() override;

    // Of a layered mount with an upper directory, which is the first branch; before it is served.
    void keep_origins(std::shared_ptr<const Origins> origins, std::unique_ptr<Index> index) {
        origins_ = std::move(origins);
        index_ = std::move(index);
    }
    const Origins* origins() const { return origins_.get(); }  // null: copies are not marked
    Index* index() { return index_.get(); }  // null: hard links are kept together as long as this lives

    const BranchSet& set() const { return *set_; }
    const config::LayerOptions& layer_options() const { return layer_options_; }
    std::shared_ptr<const BranchSet> shared_set() const { return set_; }
    NodeTable& nodes() { return nodes_; }
    const LastingIds* lasting_ids() const { return lasting_.get(); }  // null: no file handles
    ShownInodes& shown_inodes() { return shown_inodes_; }
    TreeCounters& counters() { return counters_; }
    OwnCloses& own_closes() { return own_closes_; }
    DirCache& dirs() { return dirs_; }
    DescriptorBudget& kept_files() { return kept_files_; }

    // The directory of a merged directory on one branch. ENOENT when it is not there.
    Result<SharedDir> dir_on(const NodeRef& dir, BranchIndex branch);
    // All branches of a directory, in order; those where it vanished are left out. ESTALE when none is left.
    Result<Layers> layers_of(const NodeRef& dir);
    // Those of them that may have the name or a mark for it; `all`: none was left out. May be none at all.
    struct Candidates {
        Layers layers;
        bool all = true;
    };
    Result<Candidates> candidates_for(const NodeRef& dir, const Name& name);
    // All layers, and beside them those that candidates_for() would give.
    struct Searched {
        Layers layers;
        Layers candidates;
    };
    Result<Searched> layers_to_search(const NodeRef& dir, const Name& name);
    // A lookup in all layers asked so many for nothing: in time their names are read.
    void note_vain(const NodeRef& dir, const Layers& layers, std::uint32_t asked);
    // What somebody who read the layers found, if they are the node's still; see NodeState::layers_replaced.
    void keep_names(const NodeRef& dir, std::uint32_t layers_replaced, std::shared_ptr<const LayerNames> names);
    const std::shared_ptr<NamesMeans>& names_means() const { return names_means_; }
    // A directory of a pool is the node of its place, parent and name: the branches may have it anew, or one more or
    // less of them (node/source). Of layers it is the node of its first part.
    bool dirs_have_places() const { return dirs_have_places_; }
    // Rises when a directory has got a part on a branch, or may have, as far as was heard; see ops/parts.
    std::uint32_t parts_news() const;
    // What was told of names until now (overlay/dir_watch).
    void hear_names() {
        if (names_means_->watch) names_means_->watch->catch_up();
    }
    void parts_changed() { parts_changed_.fetch_add(1, std::memory_order_release); }
    // Lets go of those that somebody removed on their branch, so that what has their name now is found; true if any
    // was.
    bool drop_removed(const NodeRef& dir, const Layers& layers);
    // ETIMEDOUT: a branch hangs that has the node's object or its content.
    Status answers(const NodeRef& node) const;
    // The winner of a node, opened and checked.
    Result<Located> find_object(const NodeRef& node);
    // The file that has a node's bytes: of a metacopy another one than the winner. The generations are the node's.
    Result<Located> find_content(const NodeRef& node);
    // As find_object without opening: for a stat. The blocks of a metacopy are those of its content.
    Result<sys::Stat> stat_object(const NodeRef& node);
    // What is asked of the winner by its name in a directory, which needs no descriptor of it; nothing where it has to
    // be found with find_object. The node is locked meanwhile.
    using AskByName = std::function<Result<std::size_t>(BranchIndex, BorrowedFd, const Name&)>;
    std::optional<Result<std::size_t>> ask_by_name(const NodeRef& node, const AskByName& ask);
    // Of the file that has a metacopy's content.
    Result<sys::Stat> stat_content(const NodeRef& node);

    // From the root, by the first name known: "/a/b", of the root "". ENOENT, ESTALE without a name.
    Result<std::string> path_of(const NodeRef& node);
    // The number of an object in `parent` by the option inodecalc; none by its default, stable. inode: where it lies on
    // the branch.
    std::optional<std::uint64_t> calculated_inode(const NodeRef& parent, std::string_view name, BranchIndex branch,
                                                  std::uint64_t inode, bool directory);
    // Where a node's read-only parts lie, by paths that hold whatever is renamed from now on.
    Result<Detours> fixed_places(const NodeRef& node);
    // What a redirect has to say for a node's read-only parts to be found from anywhere: its path, from the root, in
    // the layers below the writable one.
    Result<std::string> redirect_to(const NodeRef& node);

    // A branch of a pool went, and came: what is on it is not found until then. For one thread at a time.
    void take_branch_away(BranchIndex branch);
    void bring_branch_back(BranchIndex branch, UniqueFd root);

    // Of a pool: what one that was killed has left in the branches' work directories goes, and moves that it was at are
    // settled, before a branch is seen: this one, or all (-1).
    void sweep_leftovers(BranchIndex returning = -1);
    // Where staged objects of a branch are prepared.
    Result<WorkDir*> workdir_of(BranchIndex branch);
    // Names that a pool keeps for itself in this directory: not shown, not given to users.
    OwnNames own_names(const Node& dir) const;
    bool reserves(const Node& dir, const Name& name) const { return own_names(dir).has(name.view()); }

    // Branches for a new name in `dir`, best first: those that the rules and the create policy rank. The error is why
    // there is none.
    struct NewName {
        config::Function function = config::Function::create;
        std::string_view name;               // rules are asked if there is one
        const sys::Caller* maker = nullptr;  // with it
        BranchIndex above = -1;              // a copy or a mark, for what lies on this branch: on one above it
        // For a file that its branch has no room for (node/move): another branch, that has so many bytes.
        BranchIndex away_from = -1;
        std::uint64_t bytes = 0;
        bool same_disk = false;  // one of the same file system will do
    };
    struct Ranking {
        std::vector<BranchIndex> branches;
        bool everywhere = false;  // it is made on all of them
    };
    Result<Ranking> rank_branches(const NodeRef& dir, const NewName& wanted);
    const config::PoolOptions& pool() const { return *pool_.load(std::memory_order_acquire); }
    // From now on. Whoever has the old ones goes on with them: they stay until the end, as changes are made by hand.
    void set_pool(config::PoolOptions pool);

    // Whether renames and links into `dir` keep to branches that have it.
    bool keeps_paths() const;
    // What a name that no branch has is answered with: EIO where it may be on a branch that is missing.
    Errno not_found() const;
    // Whether files are moved off branches that are full; and whether one is about to be, so that who writes there has
    // to do so through us.
    bool can_move_files() const { return can_move_files_; }
    bool moves_files() const { return can_move_files_ && pool().move_policy; }
    bool is_short(BranchIndex branch) const;

    // Whether what is made in `dir` on the branch would be seen: false where a layer above may hide it.
    bool reaches(const NodeRef& dir, BranchIndex branch);

    // One generator a thread: choices need no secrets, only no lock.
    static std::uint64_t next_random();

    // Waiting for a copy-up by somebody else; see node/copy_up.h.
    CondVar& copy_condition(const Node& node);

  private:
    void forgotten(const Node& node) override { dirs_.drop(node); }
    struct ContentPlace;
    Result<ContentPlace> place_of_content(const NodeRef& node);
    template <typename Use>
    auto with_place(const NodeRef& node, Use use)
        -> decltype(use(std::declval<const Branch&>(), BorrowedFd(), *Name::parse("x")));
    Result<std::string> path_on(const NodeRef& node, BranchIndex branch);
    Result<SharedDir> enter_on(const NodeRef& node, const NodeRef& parent, const LayerDir& in, BranchIndex branch);
    void pass_over_late(Node& node, sys::Stat& st, std::vector<BranchIndex>& parts) const;
    // What an open said of a name. Nobody takes anything from a layer: a server's ESTALE is a fault there, which
    // whoever walks again may be spared.
    bool tells_gone(Errno e) const;
    Result<Layers> open_all(const NodeRef& dir, const std::vector<BranchIndex>& branches);
    struct Choice;
    void settle_root(LockedNode& root, BranchIndex leaving = -1);
    Result<Choice> choose_by_rules(const NodeRef& dir, const NewName& wanted);
    bool may_take(const Branch& branch, const NewName& wanted) const;
    void prefer_prompt(std::vector<policy::Candidate>& candidates) const;
    void fill_in(const NodeRef& dir, config::Policy policy, bool farther, std::vector<policy::Candidate>& candidates);

    std::shared_ptr<BranchSet> set_;
    const bool can_move_files_;
    const bool dirs_have_places_;
    std::atomic<std::uint32_t> parts_changed_{0};
    Mutex options_mutex_;
    std::vector<std::unique_ptr<const config::PoolOptions>> pools_ GUARDED_BY(options_mutex_);
    std::atomic<const config::PoolOptions*> pool_{nullptr};
    const config::LayerOptions layer_options_;
    std::unique_ptr<WorkDir> workdir_;
    std::shared_ptr<const Origins> origins_;
    std::unique_ptr<Index> index_;
    // A pool's, of one branch. Its mutex is held while it is made, by whoever needs it: a branch that hangs while its
    // own is made keeps nobody from the others'.
    struct PoolWork {
        Mutex making;
        std::string name GUARDED_BY(making);
        std::atomic<WorkDir*> work{nullptr};
        std::atomic<std::uint32_t> lost{0};  // how often the branch went
    };
    std::vector<PoolWork> pool_workdirs_;
    Mutex workdirs_mutex_;
    std::vector<std::unique_ptr<WorkDir>> workdirs_made_ GUARDED_BY(workdirs_mutex_);  // also on branches that went
    DirCache dirs_;
    DescriptorBudget kept_files_;
    const std::shared_ptr<NamesMeans> names_means_;
    std::unique_ptr<const LastingIds> lasting_;
    ShownInodes shown_inodes_;
    TreeCounters counters_;
    OwnCloses own_closes_;
    CondVar copy_conditions_[16];
    std::vector<SharedDir> roots_;  // by branch
    NodeTable nodes_;               // near the end: nodes tell the cache when they go
    NodeRef root_;
};

}  // namespace plyfs

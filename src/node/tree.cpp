#include "node/tree.h"

#include <algorithm>
#include <random>

#include "base/log.h"
#include "node/open_object.h"
#include "node/winner.h"
#include "overlay/layer_names.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// How often a place may move away under an optimistic look before we say ESTALE; each time means a rename or copy-up
// of this very object in between.
constexpr int kMaxLooks = 64;
constexpr std::size_t kNamesBudget = std::size_t{64} << 20;
// Reading a layer's names costs about four system calls, asking it for one costs one.
constexpr std::uint32_t kVainBeforeReading = 4;

struct Place {
    NodeRef parent;
    std::string name;
    BranchIndex branch;
    sys::FileKey key;
    std::uint32_t generation;
    std::uint32_t data_generation;
};

bool is_gone(Errno e) {
    return e == ENOENT || e == ENOTDIR || e == ESTALE || e == ELOOP;
}

// The branches of a pool others may change as well. Of a single one there is nothing to choose.
std::shared_ptr<DirWatch> watch_names(const BranchSet& set) {
    if (set.rules().fixed || set.size() < 2) return nullptr;
    return DirWatch::make(DirWatch::usual_most());
}

// Of a directory's layers. What is not known any more is let go of.
SharedNames names_of(LockedNode& dir) {
    if (dir->as_dir->layer_names && dir->as_dir->layer_names->outdated()) {
        dir->as_dir.set(&AsDirectory::layer_names, nullptr);
        dir->as_dir.set(&AsDirectory::asked_in_vain, 0);
    }
    return dir->as_dir->layer_names;
}

}  // namespace

Tree::Tree(std::shared_ptr<BranchSet> set, config::PoolOptions pool, std::unique_ptr<WorkDir> workdir,
           std::size_t descriptor_budget, config::LayerOptions layer_options)
    : set_(std::move(set)),
      can_move_files_(!workdir && set_->several_writable()),
      dirs_have_places_(!workdir && !set_->rules().fixed),
      layer_options_(std::move(layer_options)),
      workdir_(std::move(workdir)),
      pool_workdirs_(static_cast<std::size_t>(set_->size())),
      dirs_(descriptor_budget),
      kept_files_(static_cast<std::int64_t>(descriptor_budget)),
      names_means_(std::make_shared<NamesMeans>(kNamesBudget, watch_names(*set_))) {
    set_pool(std::move(pool));
    nodes_.set_observer(this);
    if (this->pool().files.handles && !layer_options_.handles) lasting_ = std::make_unique<const LastingIds>(*set_);
    if (workdir_) workdir_->set_marks(set_->marks());
    for (const auto& branch : set_->all()) {
        auto copy = sys::duplicate(branch->root());
        roots_.push_back(std::make_shared<const LayerDir>(copy ? std::move(*copy) : UniqueFd()));
    }
    root_ = nodes_.make_root(S_IFDIR);
    LockedNode root(*root_);
    for (int i = 0; i < set_->merged_size(); ++i) {
        root->as_dir.make().layers.push_back(static_cast<BranchIndex>(i));
        // The kernel does not ask a layer's root for its attribute; AUFS' file can be in an image's layer.
        if (!set_->reads_aufs_marks()) continue;
        if (const auto opaque = marks::has_aufs_opaque(*roots_[static_cast<std::size_t>(i)]); opaque && *opaque) break;
    }
    settle_root(root);
}

Tree::~Tree() {
    for (std::size_t i = 0; i < pool_workdirs_.size(); ++i) {
        PoolWork& pool = pool_workdirs_[i];
        if (!pool.work) continue;
        MutexLock lock(pool.making);
        // Empty unless something staged could not be removed; then the next mount sweeps it. While we still hold its
        // lock: another pool must not take up a directory that goes.
        auto removed = sys::remove_dir(set_->at(static_cast<int>(i)).root(), *Name::parse(pool.name));
        if (!removed) log::debug("{} stays: {}", pool.name, log::errno_text(removed.error().value()));
    }
}

void Tree::set_pool(config::PoolOptions pool) {
    set_->set_search(pool.policies.of(config::Function::getattr));
    MutexLock lock(options_mutex_);
    pools_.push_back(std::make_unique<const config::PoolOptions>(std::move(pool)));
    pool_.store(pools_.back().get(), std::memory_order_release);
}

Result<SharedDir> Tree::dir_on(const NodeRef& dir, BranchIndex branch) {
    // Of a layer nothing may be passed over.
    if (!set_->at(branch).present()) return Errno(ESTALE);
    if (set_->at(branch).hangs()) return Errno(ETIMEDOUT);
    SharedDir at;
    NodeRef top;                 // whose directory `at` is
    std::vector<NodeRef> below;  // from dir upwards, those not cached
    for (NodeRef node = dir;;) {
        at = node == root_ ? roots_[static_cast<std::size_t>(branch)] : dirs_.find(*node, branch);
        if (at) {
            top = std::move(node);
            break;
        }
        LockedNode state(*node);
        if (state->links.empty()) return Errno(state->unlinked ? ENOENT : ESTALE);
        if (const Detour* detour = detour_on(state->rare->detours, branch); detour && detour->from_root) {
            const auto place = TRY(walk_from_root(*roots_[static_cast<std::size_t>(branch)], detour->path));
            auto fd = TRY(sys::open_dir_path(place.dir, TRY(Name::parse(place.name))));
            at = std::make_shared<const LayerDir>(std::move(fd));
            dirs_.put(*node, branch, at);
            top = node;
            break;
        }
        NodeRef parent = state->links[0].parent;
        below.push_back(std::move(node));
        node = std::move(parent);
    }
    while (!below.empty()) {
        NodeRef node = std::move(below.back());
        below.pop_back();
        auto next = TRY(enter_on(node, top, *at, branch));
        if (!next) return dir_on(dir, branch);
        at = std::move(next);
        top = std::move(node);
    }
    return at;
}

// Null: it was moved while we were on the way to it. The node is not locked while the branch is asked, which may hang,
// and then only who wants something there should wait.
Result<SharedDir> Tree::enter_on(const NodeRef& node, const NodeRef& parent, const LayerDir& in, BranchIndex branch) {
    const auto name_of = [&](LockedNode& state) {
        const Detour* detour = detour_on(state->rare->detours, branch);
        return detour ? detour->path : state->links[0].name;
    };
    std::string name;
    std::uint32_t renames;
    bool wins;
    {
        LockedNode state(*node);
        if (state->links.empty()) return Errno(ESTALE);
        if (state->links[0].parent != parent) return SharedDir();
        name = name_of(state);
        renames = state->renames;
        wins = branch == state->winner;
    }
    const auto& went = pool_workdirs_[static_cast<std::size_t>(branch)].lost;
    const std::uint32_t lost = went.load(std::memory_order_acquire);
    auto fd = sys::open_dir_path(in, *Name::parse(name));
    sys::FileKey key;
    if (fd && wins) key = sys::key_of(TRY(sys::stat_fd(*fd)));
    LockedNode state(*node);
    if (state->links.empty()) return Errno(ESTALE);
    const bool moved = state->renames != renames || state->links[0].parent != parent || name_of(state) != name;
    if (moved || wins != (branch == state->winner)) return SharedDir();
    // Of the winner: the name may lead to another directory now, which only a walk finds.
    if (!fd) return wins && is_gone(fd.error()) ? Errno(ESTALE) : fd.error();
    if (wins && key != state->key) return Errno(ESTALE);
    auto at = std::make_shared<const LayerDir>(std::move(*fd));
    dirs_.put(*node, branch, at);
    if (went.load(std::memory_order_acquire) == lost) return at;
    dirs_.drop(*node, branch);  // it is on what the branch was
    return Errno(ESTALE);
}

bool Tree::tells_gone(Errno e) const {
    return is_gone(e) && !(e == ESTALE && set_->rules().fixed);
}

Result<Layers> Tree::layers_of(const NodeRef& dir) {
    std::vector<BranchIndex> branches;
    {
        LockedNode state(*dir);
        if (state->unlinked) return Errno(ENOENT);
        branches = state->as_dir->layers;
    }
    Layers out = TRY(open_all(dir, branches));
    if (out.empty()) return Errno(ESTALE);
    return out;
}

Result<Layers> Tree::open_all(const NodeRef& dir, const std::vector<BranchIndex>& branches) {
    Layers out;
    out.reserve(branches.size());
    for (BranchIndex branch : branches) {
        auto fd = dir_on(dir, branch);
        if (fd) {
            out.push_back({branch, std::move(*fd)});
        } else if (!tells_gone(fd.error())) {
            return fd.error();
        }
    }
    return out;
}

Result<Tree::Candidates> Tree::candidates_for(const NodeRef& dir, const Name& name) {
    std::vector<BranchIndex> branches;
    SharedNames names;
    {
        LockedNode state(*dir);
        if (state->unlinked) return Errno(ENOENT);
        branches = state->as_dir->layers;
        names = names_of(state);
    }
    const std::size_t has = branches.size();
    if (names) branches = names->filter(branches, name.view());
    const bool all = branches.size() == has;
    if (!all) counters_.spared.fetch_add(has - branches.size(), std::memory_order_relaxed);
    Candidates out{TRY(open_all(dir, branches)), all};
    if (out.layers.empty() && (all || !branches.empty())) return Errno(ESTALE);
    return out;
}

Result<Tree::Searched> Tree::layers_to_search(const NodeRef& dir, const Name& name) {
    std::vector<BranchIndex> branches;
    SharedNames names;
    {
        LockedNode state(*dir);
        if (state->unlinked) return Errno(ENOENT);
        branches = state->as_dir->layers;
        names = names_of(state);
    }
    Searched out{TRY(open_all(dir, branches)), {}};
    if (out.layers.empty()) return Errno(ESTALE);
    out.candidates = names ? names->filter(out.layers, name.view()) : out.layers;
    return out;
}

void Tree::note_vain(const NodeRef& dir, const Layers& layers, std::uint32_t asked) {
    std::uint32_t replaced;
    {
        LockedNode state(*dir);
        state->as_dir.make().asked_in_vain += asked;
        if (layers.size() < 2 && !set_->rules().fixed) return;
        if (state->as_dir->layer_names || state->as_dir->asked_in_vain <= kVainBeforeReading * (layers.size() + 1))
            return;
        replaced = state->as_dir->layers_replaced;
    }
    keep_names(dir, replaced, read_layer_names(*set_, layers, names_means_));
}

void Tree::keep_names(const NodeRef& dir, std::uint32_t layers_replaced, SharedNames names) {
    LockedNode state(*dir);
    if (state->as_dir->layers_replaced == layers_replaced && !state->as_dir->layer_names)
        state->as_dir.set(&AsDirectory::layer_names, std::move(names));
}

std::uint32_t Tree::parts_news() const {
    const auto heard = names_means_->watch ? names_means_->watch->directories_made() : 0;
    return heard + parts_changed_.load(std::memory_order_acquire);
}

bool Tree::drop_removed(const NodeRef& dir, const Layers& layers) {
    bool any = false;
    for (const Layer& layer : layers) {
        const auto st = sys::stat_fd(layer.fd());
        if (!st || st->stx_nlink > 0) continue;
        dirs_.drop(*dir, layer.branch);
        any = true;
    }
    return any;
}

// Calls use(branch, directory, name) for the place where the node's winner should be, until what it returns has the
// node's key. Use gives a Result of something with a member `st`.
template <typename Use>
auto Tree::with_place(const NodeRef& node, Use use)
    -> decltype(use(std::declval<const Branch&>(), BorrowedFd(), *Name::parse("x"))) {
    for (int look = 0; look < kMaxLooks; ++look) {
        Place place;
        std::string indexed;
        {
            LockedNode state(*node);
            if (state->rare->index) {
                indexed = *state->rare->index;
                place = {{}, {}, state->winner, state->key, node->generation(), node->data_generation()};
            }
        }
        if (!indexed.empty()) {
            auto found = use(set_->at(place.branch), index_->dir(), TRY(Name::parse(indexed)));
            if (found && sys::key_of(found->st) == place.key) {
                found->branch = place.branch;
                found->generation = place.generation;
                found->data_generation = place.data_generation;
                return found;
            }
        }
        {
            LockedNode state(*node);
            if (state->links.empty()) return Errno(ESTALE);
            place = {state->links[0].parent, state->links[0].name,   state->winner, state->key,
                     node->generation(),     node->data_generation()};
        }
        auto dir = dir_on(place.parent, place.branch);
        auto found = dir ? use(set_->at(place.branch), **dir, *Name::parse(place.name)) : dir.error();
        if (found && sys::key_of(found->st) == place.key) {
            found->branch = place.branch;
            found->generation = place.generation;
            found->data_generation = place.data_generation;
            return found;
        }
        if (!found && !tells_gone(found.error())) {
            if (found.failed_with(ESTALE)) dirs_.drop(*place.parent, place.branch);
            return found;
        }
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
    if (!node->is_dir()) TRY(answers(node));
    {
        LockedNode state(*node);
        const BranchIndex branch = state->winner;
        if (state->pinned.valid()) {
            auto fd = TRY(sys::duplicate(state->pinned));
            auto st = TRY(set_->at(branch).stat_fd(fd));
            return Located{std::move(fd), st, branch, node->generation(), node->data_generation()};
        }
    }
    if (node->is_dir()) {
        const auto [dir, branch] = TRY(winner_dir(*this, node));
        auto fd = TRY(sys::duplicate(*dir));
        auto st = TRY(set_->at(branch).stat_fd(fd));
        return Located{std::move(fd), st, branch, node->generation(), node->data_generation()};
    }
    auto found = with_place(node, [](const Branch& branch, BorrowedFd dir, const Name& name) -> Result<Located> {
        Located out;
        out.fd = TRY(sys::open_path(dir, name));
        out.st = TRY(branch.stat_fd(out.fd));
        return out;
    });
    return found.failed_with(ESTALE) && pin_while_open(*this, node) ? find_object(node) : std::move(found);
}

// Parts of a directory on branches that are late: what it was shown to allow before holds until they answer. One that
// was never shown has to wait.
void Tree::pass_over_late(Node& node, sys::Stat& st, std::vector<BranchIndex>& parts) const {
    const std::uint16_t allowed = LockedNode(node)->as_dir->allowed;
    if (allowed == AsDirectory::kNeverShown) return;
    const auto passed = std::erase_if(parts, [&](BranchIndex part) { return set_->at(part).is_late(); });
    if (passed > 0) st.stx_mode &= static_cast<std::uint16_t>(~07777 | allowed);
}

Status Tree::answers(const NodeRef& node) const {
    if (!set_->any_is_late()) return {};
    LockedNode state(*node);
    const auto hangs = [&](BranchIndex branch) { return branch >= 0 && set_->at(branch).hangs(); };
    return hangs(state->winner) || hangs(state->content_branch) ? Status(Errno(ETIMEDOUT)) : Status();
}

Result<sys::Stat> Tree::stat_object(const NodeRef& node) {
    if (!node->is_dir()) TRY(answers(node));
    BranchIndex branch;
    bool metacopy;
    bool pinned;
    sys::Stat st;
    std::vector<BranchIndex> layers;
    SharedNames names;
    {
        LockedNode state(*node);
        metacopy = state->content_branch >= 0;
        pinned = state->pinned.valid();
        if (pinned) st = TRY(set_->at(state->winner).stat_fd(state->pinned));
        if (pinned && !metacopy) return st;
        branch = state->winner;
        layers = state->as_dir->layers;
        names = names_of(state);
    }
    if (node->is_dir()) {
        const auto winner = TRY(winner_dir(*this, node));
        branch = winner.branch;
        st = TRY(set_->at(branch).stat_fd(*winner.dir));
        // A cached descriptor of a directory that somebody removed on the branch.
        if (st.stx_nlink == 0) {
            dirs_.drop(*node, branch);
            return lose_winner(*this, node, branch) ? stat_object(node) : Errno(ESTALE);
        }
        std::erase_if(layers, [&](BranchIndex other) { return other == branch || !set_->at(other).writable(); });
        if (names && !layers.empty()) {
            names->catch_up();
            layers = names->add_known_parts(st, layers);
        }
        if (set_->any_is_late()) pass_over_late(*node, st, layers);
        for (BranchIndex other : layers) {
            auto dir = dir_on(node, other);
            if (!dir) continue;
            auto part = names ? names->stat_part({other, *dir}) : sys::stat_fd(**dir);
            if (part) sys::add_directory(st, *part);
        }
        LockedNode(*node)->as_dir.set(&AsDirectory::allowed, st.stx_mode & 07777);
        return st;
    }
    if (!pinned) {
        auto found = with_place(node, [](const Branch& at, BorrowedFd dir, const Name& name) -> Result<Located> {
            Located out;
            out.st = TRY(at.stat_at(dir, name));
            return out;
        });
        if (found.failed_with(ESTALE) && pin_while_open(*this, node)) return stat_object(node);
        st = TRY(std::move(found)).st;
    }
    if (metacopy) {
        if (auto content = stat_content(node)) st.stx_blocks = content->stx_blocks;
    }
    return st;
}

CondVar& Tree::copy_condition(const Node& node) {
    return copy_conditions_[(reinterpret_cast<std::uintptr_t>(&node) >> 8) % std::size(copy_conditions_)];
}

}  // namespace plyfs

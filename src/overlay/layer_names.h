// LayerNames: which of a merged directory's branches have a name, known from having read them once, so that a lookup
// asks only those: with many branches that is the difference between one system call and one for each of them.
//
// Only of branches on which nothing changes (BranchSet::is_fixed) or of which a DirWatch tells what does, and only
// where names are the same when their bytes are: no directory that folds cases, no file system that we do not know to
// compare so. What is kept of a name is a hash: a branch said to have it may lack it, never the other way round. A name
// that a file of AUFS' hides counts as there.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/dir_watch.h"
#include "overlay/resolver.h"

namespace plyfs {

// What a mount's LayerNames are made with; outlives them.
struct NamesMeans {
    std::atomic<std::size_t> bytes_left;
    const std::shared_ptr<DirWatch> watch;  // null: only what never changes can be known
    NamesMeans(std::size_t bytes, std::shared_ptr<DirWatch> names) : bytes_left(bytes), watch(std::move(names)) {}
    bool may_know(const BranchSet& set, BranchIndex branch) const { return watch || set.is_fixed(branch); }
    // A branch is another one from now on.
    void distrust() const {
        if (watch) watch->distrust_all();
    }
};

class LayerNames {
  public:
    class Builder;
    ~LayerNames();
    LayerNames(const LayerNames&) = delete;

    // Those of `branches` (in order) that may have the name or a mark for it, as of now.
    std::vector<BranchIndex> filter(std::span<const BranchIndex> branches, std::string_view name) const;
    Layers filter(std::span<const Layer> layers, std::string_view name) const;
    bool knows(BranchIndex branch) const;
    // Whether the directory that was read on the branch, if any was, is this one (LayerDir::identity).
    bool fits(BranchIndex branch, std::uint64_t identity) const;
    // Hears what happened until now, for what can tell it from then on.
    void catch_up() const {
        if (news_) news_->catch_up();
    }
    // Adds what is known of the directory on these branches (in order), as of the last catch_up(), by
    // sys::add_directory(): of those where nothing happened since stat_part(). The others come back.
    std::vector<BranchIndex> add_known_parts(sys::Stat& into, std::span<const BranchIndex> branches) const;
    // The directory on a branch, for sys::add_directory(); it is known then.
    Result<sys::Stat> stat_part(const Layer& layer) const;
    // The branches on which the name was made since they were read, as far as was heard.
    std::vector<BranchIndex> made(std::string_view name) const {
        return news_ ? news_->made(name) : std::vector<BranchIndex>();
    }
    // None: nothing could be known, and trying again is of no use.
    bool empty() const { return known_.empty(); }
    // Nothing is known any more; read anew, it may be.
    bool outdated() const { return news_ && news_->missed(); }

  private:
    LayerNames() = default;
    // What was last seen of a known directory.
    struct Part {
        statx_timestamp modified{};
        statx_timestamp changed{};
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        std::uint16_t mode = 0;
        std::uint32_t links = 0;
        std::uint32_t asked = 0;  // how often it was looked at
        bool valid = false;
    };

    std::vector<BranchIndex> known_;         // in order
    std::vector<std::uint64_t> identities_;  // of the directories that were read there; none where all is fixed
    std::vector<NamePlace> places_;          // sorted
    std::shared_ptr<DirNews> news_;          // null: all known branches are fixed
    mutable Mutex mutex_;
    mutable std::vector<Part> parts_ GUARDED_BY(mutex_);  // of known_, where news are
    std::shared_ptr<NamesMeans> means_;
    std::size_t taken_ = 0;
};

using SharedNames = std::shared_ptr<const LayerNames>;

// Takes the entries of one layer after another from whoever reads them.
class LayerNames::Builder {
  public:
    // most: names; with more than that nothing is known.
    Builder(const BranchSet& set, std::shared_ptr<NamesMeans> means, std::size_t most);

    // opened: a descriptor of the layer's directory that can be read, and that nobody read from yet.
    void begin(const Layer& layer, BorrowedFd opened);
    void add(std::string_view name);
    void end(const Layer& layer);
    bool is_full() const { return places_.size() > most_; }
    // Never null.
    SharedNames finish();

  private:
    void put(std::string_view name);
    bool folds(const Layer& layer) const;

    const BranchSet& set_;
    const std::shared_ptr<NamesMeans> means_;
    const std::size_t most_;
    std::vector<NamePlace> places_;
    std::shared_ptr<DirNews> news_;
    std::vector<BranchIndex> known_;
    std::vector<std::uint64_t> identities_;
    BranchIndex branch_ = -1;  // -1: the layer being read is none that we may know
    std::size_t began_ = 0;    // in places_
    std::string probe_;        // a name on the layer with its cases exchanged
};

// Reads all layers that may be known. Never null.
SharedNames read_layer_names(const BranchSet& set, std::span<const Layer> layers,
                             const std::shared_ptr<NamesMeans>& means);

}  // namespace plyfs

// LowerNames: which of a merged directory's read-only layers have a name, known from having read them once, so that a
// lookup asks only those: with many layers that is the difference between one system call and one for each layer.
//
// Only of branches on which nothing changes (BranchSet::is_fixed), and only where names are the same when their bytes
// are: no directory that folds cases, no file system that we do not know to compare so. What is kept of a name is a
// hash: a layer said to have it may lack it, never the other way round. A name that a file of AUFS' hides counts as
// there. Immutable once made.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/resolver.h"

namespace plyfs {

// Bytes that all of a mount's LowerNames may take; it outlives them.
struct NamesBudget {
    std::atomic<std::size_t> left;
    explicit NamesBudget(std::size_t bytes) : left(bytes) {}
};

class LowerNames {
  public:
    class Builder;
    ~LowerNames();
    LowerNames(const LowerNames&) = delete;

    // Those of `branches` (in order) that may have the name or a mark for it.
    std::vector<BranchIndex> filter(std::span<const BranchIndex> branches, std::string_view name) const;
    Layers filter(std::span<const Layer> layers, std::string_view name) const;
    bool knows(BranchIndex branch) const;
    // None: nothing could be known, and trying again is of no use.
    bool empty() const { return known_.empty(); }

  private:
    LowerNames() = default;

    std::vector<BranchIndex> known_;     // in order
    std::vector<std::uint64_t> places_;  // a hash and, in the low bits, a branch; sorted
    std::shared_ptr<NamesBudget> budget_;
    std::size_t taken_ = 0;
};

using SharedNames = std::shared_ptr<const LowerNames>;

// Takes the entries of one layer after another from whoever reads them.
class LowerNames::Builder {
  public:
    // most: names; with more than that nothing is known.
    Builder(const BranchSet& set, std::size_t most) : set_(set), most_(most) {}

    // opened: a descriptor of the layer's directory that can be read.
    void begin(const Layer& layer, BorrowedFd opened);
    void add(std::string_view name);
    void end(const Layer& layer);
    bool is_full() const { return places_.size() > most_; }
    // Never null.
    SharedNames finish(std::shared_ptr<NamesBudget> budget);

  private:
    void put(std::string_view name);
    bool folds(const Layer& layer) const;

    const BranchSet& set_;
    const std::size_t most_;
    std::vector<std::uint64_t> places_;
    std::vector<BranchIndex> known_;
    BranchIndex branch_ = -1;  // -1: the layer being read is none that we may know
    std::size_t began_ = 0;    // in places_
    std::string probe_;        // a name on the layer with its cases exchanged
};

// Reads all layers that may be known. Never null.
SharedNames read_lower_names(const BranchSet& set, std::span<const Layer> layers, std::shared_ptr<NamesBudget> budget);

}  // namespace plyfs

// The entries of a directory of the union, merged and without duplicates, marks or reserved names; "." and ".." are
// among them, where the branch's file system has them.
//
// A directory on one branch is read straight through, with the file system's own offsets where they can be made small.
// A merged one, and what is left, is read as a whole at the first call (and again after a rewind) and served from that
// snapshot: an offset is a place in the snapshot, so it stays right while entries come and go, and says of which names
// it comes after, so that another snapshot knows whether it is right there as well. Not for use by two threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/layer_names.h"
#include "overlay/own_names.h"
#include "overlay/small_offsets.h"
#include "sys/dirent.h"

namespace plyfs {

struct ListedEntry {
    std::string_view name;  // NUL follows; valid until the next call
    BranchIndex branch = -1;
    std::uint64_t ino = 0;  // on its branch
    unsigned char type = 0;
    std::int64_t offset = 0;  // of the entry after this one
};

class Listing {
  public:
    // hidden: names that are left out.
    Listing(std::shared_ptr<const BranchSet> set, Layers layers, OwnNames hidden);
    ~Listing();

    // Goes to an offset given out before; 0 begins anew.
    Status seek(std::int64_t offset);
    // What follows comes from a snapshot.
    bool is_whole() const { return snapshot_ != nullptr; }
    // Whether an offset that another listing of the directory has given out leads to the same place in this one: what
    // comes before are the names that came before (but for one of 2048 errors). Once this one has gone there.
    bool agrees(std::int64_t offset) const;
    // False at the end.
    Result<bool> next(ListedEntry& out);
    // What lies there by now and was not found before, behind what was: names move from one layer to another, and one
    // that came to a layer which had been read already, from one that had not, was missed. Of a listing that was read
    // whole.
    Status look_again(Layers layers);
    // Gives the last entry again at the next call: it did not fit the reply.
    void unread() { repeat_ = true; }
    // What the layers were found to have; null before a merged directory was read, and for a single one.
    void collect_names(std::shared_ptr<NamesMeans> means) { means_ = std::move(means); }
    const SharedNames& names() const { return names_; }
    // From the beginning, of other layers: what the directory consists of may have changed.
    void restart(Layers layers);
    const Layers& layers() const { return layers_; }

  private:
    class Snapshot;
    Status open_single();
    Result<bool> next_single(ListedEntry& out);
    Result<bool> skips(const Layer& layer, sys::DirEntry& entry) const;
    Status load();
    Status read_layers(Snapshot& into, LayerNames::Builder* names);
    // Also where others were added since it began: its offsets are what they were.
    bool is_single() const { return layers_.size() == 1 && !snapshot_; }

    std::shared_ptr<const BranchSet> set_;
    Layers layers_;
    OwnNames hidden_;
    std::unique_ptr<sys::DirReader> reader_;  // single
    SmallOffsets offsets_;                    // of reader_
    std::unique_ptr<Snapshot> snapshot_;      // merged
    std::shared_ptr<NamesMeans> means_;       // null: names are not collected
    SharedNames names_;
    std::size_t place_ = 0;
    ListedEntry last_;
    bool repeat_ = false;
};

}  // namespace plyfs

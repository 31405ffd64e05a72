// BranchSet: the branches of a mount in order of priority, and what follows from them as a whole. Immutable once it is
// shared: a request loads it once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "branch/branch.h"
#include "branch/id_map.h"
#include "branch/mark_rules.h"

namespace plyfs {

// What marks are followed and made, beside whiteouts and opaque directories.
struct LayerRules {
    bool follow_redirects = true;  // and metacopy; false: an object that has one can not be looked up (EPERM)
    bool make_redirects = false;
    bool make_metacopies = false;
    bool keeps_inodes = false;  // a merged directory shows the number of its part below the upper one
    // Immutable and append-only of what lies in the upper one are a mark of it, as overlayfs has it. Else its file
    // system keeps and enforces them.
    bool marks_protection = false;
    bool marks = true;    // off: whiteouts and opaque marks are ordinary objects, whatever the branches
    bool fixed = false;   // nobody changes what lies on branches that may not be modified, or expects to see it
    int data_layers = 0;  // the last branches that hold nothing but content, reached by a metacopy's redirect
};

class BranchSet {
  public:
    explicit BranchSet(std::vector<std::unique_ptr<Branch>> branches, LayerRules rules = {}, IdMap ids = {});

    int size() const { return static_cast<int>(branches_.size()); }
    Branch& at(int index) const { return *branches_[static_cast<std::size_t>(index)]; }
    std::span<const std::unique_ptr<Branch>> all() const { return branches_; }

    // What BranchWatch finds, one thread at a time. Whether any is late costs one look.
    void note_answers(int index, Branch::Answers answers) const;
    bool any_is_late() const { return late_.load(std::memory_order_acquire) > 0; }

    // Whiteouts and opaque marks are read and written exactly when there is a branch that may not be modified below one
    // that may, and the rules do not forbid it; otherwise such objects are ordinary ones, as a pool that serves as
    // another overlay's upper needs.
    bool uses_marks() const { return uses_marks_; }
    const MarkRules& marks() const { return marks_; }
    // Before anybody shares the set.
    void set_marks(const MarkRules& rules);
    // AUFS' files are marks here.
    bool reads_aufs_marks() const { return uses_marks_ && marks_.aufs; }
    bool any_writable() const { return any_writable_; }
    // So that a name may have several copies that can be changed.
    bool several_writable() const { return several_writable_; }

    // A directory that is ours although it lies in a layer below: it is not to be seen there (ELOOP, as overlayfs has
    // it). Before anybody shares the set.
    void trap(const sys::FileKey& key) { traps_.push_back(key); }
    bool is_trap(const sys::Stat& st) const {
        return !traps_.empty() && std::find(traps_.begin(), traps_.end(), sys::key_of(st)) != traps_.end();
    }
    const LayerRules& rules() const { return rules_; }
    // Which branch answers for a file that several have; of layers, and for directories, it is the first.
    config::Policy search() const { return search_.load(std::memory_order_relaxed); }
    void set_search(config::Policy policy) { search_.store(policy, std::memory_order_relaxed); }
    // From the ids on the branches to those users of the mount see, and back.
    const IdMap& ids() const { return ids_; }
    // What lies there is the same as long as we are mounted.
    bool is_fixed(int index) const { return rules_.fixed && !at(index).writable(); }
    // How many branches have directories to merge; data layers come after them.
    int merged_size() const { return size() - rules_.data_layers; }

    // The inode number shown for an object: the branch's own where that is unique, else the device's place in the set
    // is mixed into the top bits. Objects of file systems mounted inside a branch count as a device of their own.
    std::uint64_t shown_inode(std::uint64_t device, std::uint64_t inode) const;

  private:
    std::uint64_t device_number(std::uint64_t device) const;

    std::vector<std::unique_ptr<Branch>> branches_;
    LayerRules rules_;
    IdMap ids_;
    std::atomic<config::Policy> search_{config::Policy::ff};
    bool uses_marks_ = false;
    MarkRules marks_;
    bool any_writable_ = false;
    bool several_writable_ = false;
    std::vector<sys::FileKey> traps_;
    mutable std::atomic<int> late_{0};

    static constexpr std::size_t kDevices = 255;
    // Append only, so that reading needs no lock; slot 0 is the first branch's device.
    mutable std::atomic<std::uint64_t> devices_[kDevices] = {};
    mutable std::atomic<std::size_t> device_count_{0};
    mutable Mutex device_mutex_;
};

}  // namespace plyfs

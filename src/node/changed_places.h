// ChangedPlaces: from where something happened on a branch, told by file handles, to the node that shows it. The
// kernel's ids of nodes alone would not do: a merged directory is one node and lies on several branches.
//
// For one thread. No answer is wrong for being old: it may lead to a node that shows the place no more, and whoever is
// told to ask that anew for nothing has lost a request.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "node/tree.h"
#include "sys/fs_events.h"

namespace plyfs {

class ChangedPlaces {
  public:
    explicit ChangedPlaces(Tree& tree) : tree_(tree) {}

    // Null: nobody knows a node for it, or it could not be found out (missed).
    NodeRef find_dir(std::uint64_t fs, const sys::FsEvents::Handle& dir);
    NodeRef find_object(std::uint64_t fs, const sys::FsEvents::Handle& object, bool is_dir);
    // Lets go of what would keep the branches busy: before anything that may take long.
    void rest();
    // Whether there was anything since the last call that could not be looked at for want of memory or descriptors.
    bool missed() { return std::exchange(missed_, false); }
    // Directories may lie elsewhere from now on, or be others.
    void forget_paths() { known_.clear(); }
    // Which file systems the branches are on, as of now.
    void learn_branches();

  private:
    struct OnFs {
        std::uint64_t fs;
        BranchIndex branch;
        UniqueFd root;  // by which handles are opened, until rest()
    };
    struct Found {
        UniqueFd fd;
        sys::Stat st;
    };
    Result<UniqueFd> open_on(OnFs& on, const sys::FileHandle& handle);
    Result<Found> open(std::uint64_t fs, const sys::FileHandle& handle);
    bool find_by_path(std::uint64_t fs, const sys::FileHandle& dir, NodeRef& out);
    NodeRef node_at(std::string_view path);
    void note_lack(Errno e) { missed_ = missed_ || e.is_own_lack(); }

    Tree& tree_;
    bool missed_ = false;
    std::vector<OnFs> branches_;  // those that are there
    // Directories by their handles: the node's id, or kOutside.
    std::unordered_map<std::string, NodeId> known_;
};

}  // namespace plyfs

// Node ids that outlast the kernel's memory and the mount, for file handles. The kernel asks for a file by nothing but
// its id, so the id is the object's number on its file system and a tag of that file system. Where an object can be
// opened by its number alone (ext4, Btrfs, XFS), and the branch is a whole file system, so that no number leads out of
// it, a handle is good as long as its file is there.
//
// A number that was given to another file after a deletion is told by the generation that file systems keep: the kernel
// compares it to the one in the handle.
#pragma once

#include <optional>
#include <vector>

#include "branch/branch_set.h"
#include "node/node.h"
#include "sys/handle.h"

namespace plyfs {

class LastingIds {
  public:
    // Looks at the branches that are there; of those that may not be modified objects may be copied up, and get none.
    explicit LastingIds(const BranchSet& set);

    static bool is_lasting(NodeId id) { return id >> 63 != 0; }
    struct Identity {
        NodeId id = 0;
        std::uint32_t generation = 0;
    };
    // Of what was found under a name in a directory of a branch. One system call.
    std::optional<Identity> find(BorrowedFd dir, const Name& name, BranchIndex branch, const sys::Stat& st) const;

    struct Opened {
        UniqueFd fd;  // O_PATH
        BranchIndex branch = -1;
        std::uint32_t generation = 0;
    };
    // ESTALE: there is no such object any more, or its branch is gone.
    Result<Opened> open(NodeId id) const;

  private:
    struct Source {
        bool usable = false;
        std::uint64_t tag = 0;
        sys::FileHandle pattern;  // of the root
    };
    static Source examine(const Branch& branch);

    const BranchSet& set_;
    std::vector<Source> sources_;  // by branch
};

}  // namespace plyfs

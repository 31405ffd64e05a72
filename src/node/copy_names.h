// The names under which a copy is published: all that are known of a hard-linked original, so that they stay names of
// one file; all or none.
#pragma once

#include <string>
#include <vector>

#include "node/tree.h"
#include "overlay/staging.h"

namespace plyfs {

class CopyNames {
  public:
    CopyNames() = default;
    // The directories are found before the node is locked: finding locks nodes.
    static Result<CopyNames> find(Tree& tree, const std::vector<Link>& links, BranchIndex branch);
    // In the index as well, before all others: from then on each of them leads to the copy.
    void add_first(UniqueFd index, std::string name);
    // The directories keep their times, here and below.
    Status publish(Staged& staged) const;
    // ESTALE unless each of them is a name of the object.
    Status require_all_of(const sys::FileKey& key) const;
    // Takes them from the object, all or none. `object`: by which they are given back.
    Status take_from(const sys::FileKey& key, BorrowedFd object) const;
    // What was done to their directories is durable from then on.
    Status settle_dirs() const;

  private:
    struct Place {
        SharedDir dir;
        std::string name;
    };
    static Result<bool> leads_to(const Place& place, const sys::FileKey& key);
    std::vector<Place> places_;
};

// An object (by a copy's descriptor: a file's is open for writing) and its names on a branch are durable from then on,
// and the directories above that may have been made for them.
Status settle_names(Tree& tree, const std::vector<Link>& links, BranchIndex branch, BorrowedFd object);

}  // namespace plyfs

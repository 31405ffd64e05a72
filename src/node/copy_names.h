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
    // The directories are found before the node is locked: finding locks nodes.
    static Result<CopyNames> find(Tree& tree, const std::vector<Link>& links, BranchIndex branch);
    // In the index as well, before all others: from then on each of them leads to the copy.
    void add_first(Result<UniqueFd> index, std::string name);
    // The directories keep their times, here and below.
    Status publish(Staged& staged) const;
    // Durable, with what has them.
    Status sync(BorrowedFd object) const;
    // What has them, where the copy is somewhere else. One that stays is another copy.
    void remove() const;
    // ESTALE unless each of them is a name of the object.
    Status require_all_of(const sys::FileKey& key) const;
    // Takes them from the object, all or none. `object`: by which they are given back.
    Status take_from(const sys::FileKey& key, BorrowedFd object) const;

  private:
    struct Place {
        SharedDir dir;
        std::string name;
    };
    static Result<bool> leads_to(const Place& place, const sys::FileKey& key);
    std::vector<Place> places_;
};

}  // namespace plyfs

// The branch resolver: which branch answers for a name in a directory of the union. Layers are those branches on which
// the directory exists and is merged, in order of priority; a whiteout ends the search, a directory goes on collecting
// the directories of its name below until one is opaque, and anything else wins alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/branch_set.h"
#include "overlay/layer_dir.h"
#include "sys/protection.h"
#include "sys/stat.h"

namespace plyfs {

// One branch's directory of a merged directory, held open by the caller.
struct Layer {
    BranchIndex branch;
    SharedDir dir;
    BorrowedFd fd() const { return *dir; }
};
using Layers = std::vector<Layer>;

// Where something lies on a branch that is not to be found there under the union's parent and name: what a redirect
// says.
struct Detour {
    BranchIndex branch;
    bool from_root;    // `path` begins at the branch's root; else it is a name in the parent's directory
    std::string path;  // without a leading slash
    friend bool operator==(const Detour&, const Detour&) = default;
};
// Few objects have any: null is none.
using Detours = std::shared_ptr<const std::vector<Detour>>;
const Detour* detour_on(const Detours& detours, BranchIndex branch);
// The directory behind a detour or, without one, `name` in the parent's directory there.
Result<UniqueFd> open_layer(const BranchSet& set, std::span<const Layer> parent, BranchIndex branch, const Name& name,
                            const Detours& detours);
// A path of a Detour from the branch's root, its last component left to the caller: no symlink is followed.
struct WalkedTo {
    UniqueFd dir;
    std::string name;
};
Result<WalkedTo> walk_from_root(BorrowedFd root, std::string_view path);

// What one layer has under a name. A file of AUFS' that hides the name lies beside it, so both can be there: then the
// object is seen, and hides what is below as an opaque directory does.
struct LayerEntry {
    enum class Kind { nothing, object, whiteout };
    Kind kind = Kind::nothing;
    bool beside = false;  // the name is hidden below by a file beside it
    sys::Stat st;         // of the object, or of the whiteout in its place
};

// Whether a mark beside the name is asked for: not where it could not change the answer. `if_needed`: when there is no
// object, or a directory.
enum class Beside { no, if_needed, yes };
// opened: receives an O_PATH descriptor of the object, the very one that `st` is of.
Result<LayerEntry> look_in(const BranchSet& set, const Layer& layer, const Name& name, Beside beside,
                           UniqueFd* opened = nullptr);

// The facts of overlay/layer_dir.h, asked anew where we write such marks ourselves.
bool may_hold_aufs_names(const BranchSet& set, const Layer& layer);
Result<bool> holds_xattr_whiteouts(const BranchSet& set, const Layer& layer);

struct Hit {
    BranchIndex branch;
    sys::Stat st;
    bool whiteout = false;
    bool beside = false;  // of a whiteout: a file beside the name; an object of the same branch may come before it
};

struct Resolved {
    BranchIndex branch = -1;                // the winner
    sys::Stat st;                           // of the winner; of a directory, of all branches that may change
    std::vector<BranchIndex> layers;        // of a directory: all merged branches, the winner first
    std::vector<std::uint64_t> identities;  // LayerDir's, of `layers`, where others may change the branches
    Layers opened;                          // those of `layers` that had to be opened
    Detours detours;                        // of `layers` and the content
    std::string redirect;                   // what the own mark of a writable winner says; empty: none
    sys::Protection protection;             // of the winner, where a mark can be what protects it (LayerRules)
    // Of a metacopy, a file whose content lies below: the branch that has it. -1: the winner has it.
    BranchIndex content_branch = -1;
    // What the winner is a copy of, when that shows in its inode number. Of a directory its first part on a layer
    // below, of others what their marks say (node/origin).
    struct Original {
        sys::FileKey key;
        std::string index;         // the copy's name in the index; empty: none
        std::uint32_t hidden = 0;  // names in the layers below, when there is such a name
        bool marked = false;       // the winner has the mark, wherever it leads
        bool shows = false;        // and `key` is what it leads to
        bool below = false;        // the name itself lies below, the winner is the index entry
    } original;
    bool incomplete = false;  // a branch that failed may have a part of the directory as well
    bool other_name = false;  // a redirect led on to another name in the parent's directories
};

// ENOENT when no branch has the name or a whiteout hides it. EPERM: a redirect that may not be followed. EIO: a
// metacopy whose content is nowhere.
//
// Layers that have neither the name nor a mark for it may be left out of `parent`; when `other_name` comes back, or
// another error than ENOENT, the answer counts only with all of them.
Result<Resolved> find_winner(const BranchSet& set, std::span<const Layer> parent, const Name& name);

// Everything of the name on every layer down to the first whiteout, also what a file or an opaque directory hides:
// removing that would reveal it, so an unlink, a rename or a whiteout decision has to know. The whiteout itself is the
// last hit.
// opened: receives an O_PATH descriptor of the first hit, the very object that its `st` is of.
Result<std::vector<Hit>> find_all(const BranchSet& set, std::span<const Layer> parent, const Name& name,
                                  UniqueFd* opened = nullptr);

}  // namespace plyfs

// What a rename has to do on which branch, decided without touching anything: a pure function over what lies at both
// names. The caller has made the source writable already (copy-up), so the source's winner is on a writable branch; the
// steps are ordered so that at every moment the union shows either the old or the new state of each name.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "overlay/resolver.h"

namespace plyfs {

struct Presence {
    enum class Kind { file, directory, whiteout };
    BranchIndex branch;
    Kind kind;
    bool writable;
    bool beside = false;  // a whiteout that does not take the name's place
};

struct RenameFacts {
    std::span<const Presence> source;  // find_all of the old name: winner first
    std::span<const Presence> target;  // find_all of the new name
    // For a directory: on how many branches it is merged; 0 for a file or nothing.
    std::size_t source_layers = 0;
    std::size_t target_layers = 0;
    // It has parts on branches that may not be modified; and a redirect may say where.
    bool source_fixed = false;
    bool source_redirects = false;
    bool target_redirects = false;
    bool exchange = false;
    bool keep_whiteout = false;  // RENAME_WHITEOUT asked for by the user
    // Of a file in a pool: the one branch whose copy gets the new name beside the winner; -1: all that may be modified.
    BranchIndex moves_along = -1;
    // The only branches that may take the new name (path preserving); null: any.
    const std::vector<BranchIndex>* homes = nullptr;
};

struct RenamePlan {
    BranchIndex branch = -1;  // the one rename that decides happens here
    // The rest is not decided yet: first the source has to be carried to a branch above this one (-1: no need), which
    // may not be modified and has the new name; or, of an exchange, whichever lies elsewhere to `branch`;
    // of a directory a part there is enough.
    BranchIndex carry_above = -1;
    bool carry = false;
    // What lies at a file's new name on other branches could be seen instead, or hide it, until it is removed: the file
    // has both names while it is.
    bool link_first = false;
    // A whiteout takes the old name's place there, in the same rename.
    bool leave_whiteout = false;
    // The moved directory must hide a directory that lies below its new place: marked opaque first. Not one that is
    // redirected: it is merged with what the mark says, and with nothing else.
    bool make_opaque = false;
    // The moved directory replaces a whiteout: the two are exchanged.
    bool swap_whiteout = false;
    // The target directory holds only whiteouts: replaced by an empty opaque one first.
    bool clear_target = false;
    // Exchange only: the target directory moves to the old name over a directory that it must hide.
    bool make_target_opaque = false;
    std::vector<BranchIndex> also_rename;    // the other branches on which it, or a copy of it, gets the new name
    std::vector<BranchIndex> also_exchange;  // exchange only: those that have copies of both,
    std::vector<BranchIndex> rename_back;    // or of the target only
    std::vector<BranchIndex> remove_source;  // copies of the old name elsewhere that would come back
    std::vector<BranchIndex> remove_target;  // copies of the new name elsewhere, replaced
};

// EXDEV where the caller has to copy instead: a directory with a part that may not be modified and can not be
// redirected to, or of which not every part may take the new name; a directory to a name that lies above it on a
// read-only branch.
Result<RenamePlan> plan_rename(const RenameFacts& facts);

}  // namespace plyfs

// Copy-up: making an object writable by carrying it into a branch that may be modified, parents first, complete or not
// at all. Serialised under the node's lock: however many threads change, chmod or open for writing one read-only file,
// it is copied once and no change is lost. While the data is copied the lock is free (a state says "copying"), so that
// stat and reading go on; others who want to write wait.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "node/tree.h"

namespace plyfs {

inline constexpr std::uint64_t kAllData = std::numeric_limits<std::uint64_t>::max();

struct CopyUpRequest {
    // Bytes of a regular file's content that are still wanted: 0 when it is about to be truncated.
    std::uint64_t keep_bytes = kAllData;
    // True: owner, mode, times or attributes are about to change, or the name; the content may stay where it is.
    bool metadata_only = false;
    // False: EINPROGRESS, before anything was changed, instead of copying data or waiting for somebody who does.
    bool may_block = true;
    // True: the caller was interrupted; a copy in progress ends with EINTR and leaves nothing behind.
    std::function<bool()> cancelled;
    // True: an immutable file is copied as well, for whoever changes its inode flags; the copy is immutable too.
    bool even_immutable = false;
};

// Makes the winner of a file (any type but a directory) writable, with its content unless metadata_only. EROFS: no
// branch to copy to. EPERM: immutable.
Status ensure_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request);

// The same, and the winner found: what was just copied need not be looked for.
Result<Located> find_writable(Tree& tree, const NodeRef& node, const CopyUpRequest& request);

// Waits, under the node's lock, until no copy-up of it is in progress: for whoever changes its names. EINPROGRESS and
// EINTR as the request says.
Status wait_until_copied(Tree& tree, LockedNode& node, const CopyUpRequest& request);
// A while of that, for whoever waits for more and looks again.
Status wait_for_copying(Tree& tree, LockedNode& node, const CopyUpRequest& request);

// Makes a directory exist on a branch, parents first, looking like its winner.
Status ensure_dir_on(Tree& tree, const NodeRef& dir, BranchIndex branch);

// For a directory's own attributes: its winner becomes writable.
Status ensure_dir_writable(Tree& tree, const NodeRef& dir);

// A copied-up hard link has a name, known to the node, that the writable branch does not have yet: the name is added
// there, so that what is written through one name is never missing under another.
// Without room the node remembers that it lacks one (`lacks_names`), and is not written to before it has it.
Status add_missing_link(Tree& tree, const NodeRef& node, const NodeRef& parent, const Name& name);

}  // namespace plyfs

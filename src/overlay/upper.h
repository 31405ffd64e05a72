// What the file system of an upper directory and the work directory beside it say about a mount before it is made.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"

namespace plyfs {

// The first mark in workdir/work/incompat, where overlayfs has a directory for each feature that forbids a later mount
// to go on with the same upper directory: "volatile" is one. Empty: none.
Result<std::string> find_incompatible(BorrowedFd workdir, const Name& work);
// Leaves the mark of a mount that syncs nothing in the opened "work", as overlayfs does.
Status mark_volatile(BorrowedFd work);

// What the file system lacks that layers need, each as the end of a sentence that begins with its name; work is there.
std::vector<std::string> find_lacks(BorrowedFd workdir, const Name& work);

}  // namespace plyfs

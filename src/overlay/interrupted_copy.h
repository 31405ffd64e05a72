// A metacopy gets its content in place (node/metacopy): that changes its times and takes its file capabilities away,
// although nobody has changed the file. A daemon that ends in the middle can not give them back, so they are noted in
// an attribute of the file before, and the daemon after it gives them back when it first sees the file.
#pragma once

#include <time.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/mark_rules.h"

namespace plyfs {

struct BeforeCopy {
    timespec atime;
    timespec mtime;
    std::optional<std::vector<std::byte>> capability;  // security.capability
};

// By the daemon's own credentials.
Status put_back(BorrowedFd object, const BeforeCopy& before);

// Where the file can take no such attribute it is copied without: then an end in the middle is seen.
void note_before_copy(BorrowedFd object, const BeforeCopy& before, const MarkRules& rules);
Status forget_before_copy(BorrowedFd object);

// Of a metacopy that is marked as being copied into: gives it back what another daemon has noted. True: it was.
// Capabilities are believed only of a note that an owner of the file could not have written.
bool undo_interrupted_copy(BorrowedFd dir, const Name& name, const MarkRules& rules);

}  // namespace plyfs

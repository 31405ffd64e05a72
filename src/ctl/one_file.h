// One file of a branch while somebody may be using it: what is known of it, and whether that still holds.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "sys/lock.h"
#include "sys/stat.h"

namespace plyfs::ctl {

// The object that was found (O_PATH); ESTALE: it is another one by now, or was changed.
Result<UniqueFd> open_as_found(BorrowedFd dir, const Name& name, const sys::Stat& found);
// Empty: nobody else has it open; else why nothing may be done with it.
std::string why_in_use(BorrowedFd file, sys::Opener opener);
std::string because(const char* what, Errno e);
// Byte by byte, by any descriptors of two files.
Result<bool> same_content(BorrowedFd one, BorrowedFd other);

}  // namespace plyfs::ctl

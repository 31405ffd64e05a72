// Making, removing and renaming directory entries: the *at() calls, one Name each, errno as a value.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"

namespace plyfs::sys {

Status make_dir(BorrowedFd dir, const Name& name, mode_t mode);
Status make_node(BorrowedFd dir, const Name& name, mode_t mode, dev_t device);
Status make_symlink(BorrowedFd dir, const Name& name, const char* target);
Result<std::string> read_symlink(BorrowedFd link);  // an O_PATH descriptor of the symlink itself
Status unlink_file(BorrowedFd dir, const Name& name);
Status remove_dir(BorrowedFd dir, const Name& name);
// flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT.
Status rename_entry(BorrowedFd from_dir, const Name& from, BorrowedFd to_dir, const Name& to, unsigned flags = 0);
// A further name for the object behind fd (which may be O_PATH or O_TMPFILE).
Status link_fd(BorrowedFd fd, BorrowedFd to_dir, const Name& to);
// By any descriptor, O_PATH included; of regular files.
Status change_size(BorrowedFd fd, off_t size);
// fsync or fdatasync of a real descriptor.
Status sync_file(BorrowedFd fd, bool data_only = false);

}  // namespace plyfs::sys

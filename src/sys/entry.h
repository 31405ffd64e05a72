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
// Where an object is in the tree of its mount, as /proc tells it of a descriptor; ENOENT for one without a path.
Result<std::string> path_of(BorrowedFd fd);
Result<std::string> read_symlink(BorrowedFd link);  // an O_PATH descriptor of the symlink itself
Status unlink_file(BorrowedFd dir, const Name& name);
Status remove_dir(BorrowedFd dir, const Name& name);
// flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT.
Status rename_entry(BorrowedFd from_dir, const Name& from, BorrowedFd to_dir, const Name& to, unsigned flags = 0);
// A further name for the object behind fd (which may be O_PATH or O_TMPFILE).
Status link_fd(BorrowedFd fd, BorrowedFd to_dir, const Name& to);
// By a descriptor open for writing.
Status set_size(BorrowedFd fd, off_t size);
// By any descriptor, O_PATH included; of regular files.
Status change_size(BorrowedFd fd, off_t size);
// fsync or fdatasync of a real descriptor.
Status sync_file(BorrowedFd fd, bool data_only = false);
// Everything on the file system that an open file or directory lies on.
Status sync_file_system(BorrowedFd fd);
// A file's content handed to its disk and waited for, but neither the disk's cache nor the journal: no name or
// attribute that is given from now on can survive a power cut without the content, where orders_content() says so.
// Durable with the next sync of anything there.
Status write_out(BorrowedFd fd);
// Of the file system on which a directory lies: ext4 with a journal of its own and barriers. There a page's writing
// ends after the transaction that makes its blocks part of the file was joined, transactions are committed in order,
// and a commit first flushes the disk's cache. False when that can not be found out.
bool orders_content(BorrowedFd dir);

}  // namespace plyfs::sys

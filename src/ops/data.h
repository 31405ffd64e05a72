// What passthrough leaves to the daemon of an open file: syncing, space, holes, copies; and reads and writes of files
// that do not pass through.
#pragma once

#include <linux/fs.h>
#include <sys/types.h>

#include <span>

#include "ops/open.h"

namespace plyfs::ops {

Result<std::size_t> read(Context& ctx, FileHandle& handle, std::span<std::byte> buffer, std::uint64_t offset);
struct WriteAt {
    std::uint64_t offset = 0;
    // O_APPEND, and no page that was changed through a map: at the end of the file, wherever that is by now. Others may
    // have appended on the branch since the kernel was told of the size by which it has the offset.
    bool append = false;
};
// kill_privileges: the kernel asks for setuid and the like to be taken away.
Result<std::size_t> write(Context& ctx, const Request& request, FileHandle& handle, std::span<const std::byte> data,
                          WriteAt at, bool kill_privileges);
Status fsync(Context& ctx, FileHandle& handle, bool data_only);
// Whether close(2) waits for flush(), by the option flush-on-close: what the branch's file system does at a close, such
// as to send what it gathered (NFS).
bool flushes(const Context& ctx, const FileHandle& handle);
Status flush(Context& ctx, FileHandle& handle);
// EINPROGRESS by these three and with a new size by setattr(): the branch is full and the file would be moved; or what
// is copied takes long.
Status fallocate(Context& ctx, const Request& request, FileHandle& handle, int mode, std::uint64_t offset,
                 std::uint64_t length);
Result<std::uint64_t> seek(Context& ctx, FileHandle& handle, std::uint64_t offset, int whence);  // SEEK_DATA, SEEK_HOLE
Result<std::size_t> copy_range(Context& ctx, const Request& request, FileHandle& from, std::uint64_t from_offset,
                               FileHandle& to, std::uint64_t to_offset, std::size_t length, unsigned flags);

// chattr and lsattr, of files and directories.
Result<unsigned> get_flags(Context& ctx, NodeId id);
Status set_flags(Context& ctx, const Request& request, NodeId id, unsigned flags);
Result<struct fsxattr> get_fsxattr(Context& ctx, NodeId id);
Status set_fsxattr(Context& ctx, const Request& request, NodeId id, const struct fsxattr& value);

}  // namespace plyfs::ops

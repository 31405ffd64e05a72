#include "sys/xfs.h"

#include <linux/types.h>
#include <sys/ioctl.h>

namespace plyfs::sys {
namespace {

// XFS_IOC_FSBULKSTAT_SINGLE; its header comes with the tools of XFS and not with the kernel's.
struct BulkRequest {
    __u64* inode;
    __s32 count;
    void* answers;
    __s32* answered;
};
struct Time {
    long seconds;
    __s32 nanoseconds;
};
struct BulkStat {
    __u64 inode;
    __u16 mode, links;
    __u32 uid, gid, device;
    __s32 block_size;
    __s64 size;
    Time atime, mtime, ctime;
    __s64 blocks;
    __u32 flags;
    __s32 extent_size, extents;
    __u32 generation;
    __u8 rest[64];
};
constexpr unsigned long kBulkStatSingle = _IOWR('X', 102, BulkRequest);

}  // namespace

Result<std::uint32_t> xfs_generation(BorrowedFd on_fs, std::uint64_t inode) {
    BulkStat answer{};
    __u64 asked = inode;
    __s32 answered = 0;
    BulkRequest request{&asked, 1, &answer, &answered};
    if (::ioctl(on_fs.get(), kBulkStatSingle, &request) != 0) return Errno::last();
    if (answer.inode != inode) return Errno(ENOENT);
    return answer.generation;
}

}  // namespace plyfs::sys

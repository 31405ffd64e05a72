#include "branch/stacking.h"

#include <linux/magic.h>

#include <algorithm>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

namespace plyfs {
namespace {

constexpr std::uint64_t kEcryptfs = 0xf15f;
// In the order of the alphabet.
constexpr std::string_view kPlain[] = {
    "fuse.afpfs",     "fuse.borgfs",     "fuse.ceph-fuse", "fuse.cephfs",    "fuse.cifs",      "fuse.cryfs",
    "fuse.curlftpfs", "fuse.davfs",      "fuse.encfs",     "fuse.exfat",     "fuse.gcsfuse",   "fuse.glusterfs",
    "fuse.gocryptfs", "fuse.goofys",     "fuse.hdfs",      "fuse.httpdirfs", "fuse.juicefs",   "fuse.lizardfs",
    "fuse.mfs",       "fuse.moosefs",    "fuse.ntfs",      "fuse.ntfs-3g",   "fuse.orangefs",  "fuse.quobyte",
    "fuse.rclone",    "fuse.s3backer",   "fuse.s3fs",      "fuse.saunafs",   "fuse.seaweedfs", "fuse.smbnetfs",
    "fuse.sshfs",     "fuse.squashfuse", "fuse.vmhgfs",    "fuse.zfs-fuse",  "fuseblk",
};

}  // namespace

int stacking_of(std::uint64_t magic, std::string_view name) {
    if (magic == OVERLAYFS_SUPER_MAGIC || magic == kEcryptfs) return 1;
    if (magic != FUSE_SUPER_MAGIC) return 0;
    return std::find(std::begin(kPlain), std::end(kPlain), name) == std::end(kPlain) ? 1 : 0;
}

}  // namespace plyfs

// How a pool shows its files and serves them, where that is not simply as they lie on their branches. Plain values,
// part of pool.h.
#pragma once

namespace plyfs::config {

// Which inode numbers are shown. stable: the branch's own, made unique; the others are mergerfs' ways to calculate one.
enum class InodeCalc {
    stable,
    passthrough,
    path_hash,
    path_hash32,
    devino_hash,
    devino_hash32,
    hybrid_hash,
    hybrid_hash32
};
// What becomes of requests for extended attributes: served, none is found, or there are none at all.
enum class Xattrs { passthrough, noattr, nosys };
// Which branches are summed up for df: all, or those that have the path asked about.
enum class Statfs { base, full };
// Whose free space does not count, as mergerfs has it: nobody's, that of ro and nc branches, that of nc ones. Of layers
// nothing counts at all but the one that may be changed.
enum class StatfsIgnore { none, ro, nc, unchangeable };
// mergerfs' words, in the order of their option.
enum class CacheFiles { off, partial, full, auto_full, per_process, libfuse };
// After which closes the branch's file system is asked whether everything arrived.
enum class FlushOnClose { never, always, opened_for_write };

struct FileOptions {
    CacheFiles cache = CacheFiles::auto_full;
    // What the daemon served stays in the page cache from one open to the next.
    bool keeps_pages() const { return cache == CacheFiles::full || cache == CacheFiles::auto_full; }
    bool keep_listings = true;  // so do listings of directories
    bool keep_targets = true;   // so do targets of symbolic links
    bool acls = true;           // enforced
    Xattrs xattrs = Xattrs::passthrough;
    bool capabilities = true;  // security.capability is asked for on the branch
    Statfs statfs = Statfs::base;
    StatfsIgnore statfs_ignore = StatfsIgnore::none;
    InodeCalc inodes = InodeCalc::stable;
    bool link_cow = false;    // a name that is written to parts from the others of its file
    bool symlinkify = false;  // a file nobody may write to, unchanged for long, is shown as a link to itself
    double symlinkify_age = 3600;
    bool null_io = false;  // reads and writes do nothing
    FlushOnClose flush = FlushOnClose::never;
    bool proxy_ioprio = false;  // what the daemon reads and writes has the caller's I/O priority
    bool control = false;       // .mergerfs and .plyfs in the root
    bool handles = false;       // the kernel may ask for a file by a handle
    bool keep_nodes = false;    // handles are good until the file is removed
};

}  // namespace plyfs::config

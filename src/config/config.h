// What a mount is asked to be: plain values, filled from -o and YAML through the one option table (options.h), constant
// after the mount. No behaviour, no I/O, no exceptions: rooms from branch/ up include this header and nothing else of
// config/.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/pool.h"

namespace plyfs::config {

// The timeouts where none is given. Layers: nobody else changes the branches. Pools: files may come and go on a branch
// by itself, and a name that was missing may appear there at any time. Watched: the kernel is told when they do, and
// what should be missed all the same is seen within a minute; but who makes a file on a branch and looks for it in the
// pool at once would not find it.
struct UsualTimeouts {
    double known;    // names and attributes
    double missing;  // names
};
inline constexpr UsualTimeouts kLayerTimeouts{3600, 3600};
inline constexpr UsualTimeouts kPoolTimeouts{1, 0};
// Of a name that is made the kernel is told; not of those that come with a whole directory or branch.
inline constexpr UsualTimeouts kWatchedTimeouts{60, 1};

enum class Transport { automatic, io_uring, devfuse };
enum class Locks { local, forward };
enum class Passthrough { automatic, off };
// How changes on a pool's branches that others make are noticed: by being told (automatic: where that can be had), or
// by asking when the timeouts are over.
enum class Coherence { automatic, watch, timeout };

// How directories with a part on a read-only layer are renamed and found again: on writes and follows redirects, follow
// only follows them, nofollow refuses what has one. off is overlayfs' word, and follow by the kernel's default.
enum class RedirectDir { on, follow, nofollow, off };
// Hard links of copied-up files kept together by the index in the work directory; automatic: where the upper can.
enum class Index { automatic, on, off };
// How whiteouts and opaque directories are written. automatic: what the upper allows, in this order.
enum class UpperFormat { automatic, overlay, overlay_user, aufs };
// What a descriptor opened before a copy-up reads afterwards: the original's bytes, or the copy's.
enum class CopyUpReaders { snapshot, follow };

// A run of ids: those from `disk` on a layer are shown from `shown` on.
struct IdRange {
    std::uint32_t disk = 0;
    std::uint32_t shown = 0;
    std::uint32_t count = 0;
};

// Where owner, mode and device numbers are kept: in the inode, or in an extended attribute of it (the values are those
// of fuse-overlayfs' xattr_permissions). automatic: as the upper's root already does.
enum class StatOverride { automatic, off, privileged, user };

// What only layered mounts have.
struct LayerOptions {
    RedirectDir redirect_dir = RedirectDir::on;
    bool metacopy = false;
    Index index = Index::automatic;
    bool userxattr = false;  // marks in user.overlay.* alone
    // Asked for in so many words: redirects and metacopies are followed that whoever owns an object can set.
    bool user_leads = false;
    UpperFormat upper_format = UpperFormat::automatic;
    CopyUpReaders readers = CopyUpReaders::snapshot;
    bool sync = true;           // off (volatile): nothing is synced, a crash may lose everything
    bool static_nlink = false;  // directories show one link
    bool handles = false;       // files have handles that are good as long as the mount lasts
    bool xattrs = true;
    bool acls = true;
    std::vector<IdRange> uids;  // empty: as they are
    std::vector<IdRange> gids;
    std::optional<std::uint32_t> squash_uid;
    std::optional<std::uint32_t> squash_gid;
    StatOverride stat_override = StatOverride::automatic;
    bool inside_lower = false;  // the upper or the work directory lies in a layer; found by validate()
};

// What the kernel's newer mount interface takes as a source, in bytes.
inline constexpr std::size_t kLongestSource = 255;

struct Config {
    std::vector<BranchSpec> branches;  // highest priority first; the upper directory, if any, is the first
    bool layered = false;              // given as lowerdir=...: one writable branch (or none) over read-only ones
    bool drop_in = false;              // called as fuse-overlayfs
    int data_layers = 0;               // how many of the last branches hold nothing but content (lowerdir=A::B)
    LayerOptions layers;
    std::string workdir;     // absolute and canonical; empty: pools stage inside their branches
    std::string mountpoint;  // absolute
    PoolOptions pool;

    // Seconds; unset: long for layers, whose branches nobody else changes, short for pools.
    std::optional<double> entry_timeout;
    std::optional<double> attr_timeout;
    std::optional<double> negative_timeout;
    Coherence coherence = Coherence::automatic;
    bool watched = false;  // of a pool: changes on the branches are heard of; found when it is mounted

    double branch_timeout = 30;  // seconds that a branch has to answer; 0: however long it takes

    std::vector<std::string> files;  // that it was read from
    Transport transport = Transport::automatic;
    bool seccomp = false;    // the daemon gives up the system calls that it does not need (sys/call_filter)
    bool supervise = false;  // by a process that starts another daemon when this one dies
    Passthrough passthrough = Passthrough::automatic;
    std::optional<int> max_stack_depth;  // 0 or 1 as libfuse counts; unset: looked up from the branches
    Locks locks = Locks::local;

    bool allow_other = false;  // resolved: on for root unless switched off
    bool default_permissions = true;
    bool read_only = false;
    bool dev = true;   // for root
    bool suid = true;  // for root
    bool exec = true;
    std::string fsname;
    std::string subtype = "plyfs";  // the type is shown as fuse.SUBTYPE
    // Words that mount(2) or libfuse understand and plyfs hands on unread, such as "noatime" or "context=...". A comma
    // in one is part of it (context="a,b", quotes included, for the kernel): hand on with fuse_opt_add_opt_escaped.
    std::vector<std::string> kernel_options;
    bool noatime() const {
        return std::find(kernel_options.begin(), kernel_options.end(), "noatime") != kernel_options.end();
    }

    std::chrono::microseconds busy_poll{100};  // for the next request on /dev/fuse, at most; 0: never
    int reader_threads = 0;                    // of /dev/fuse; 0: as many as there are processors, within bounds
    int niceness = 0;
    std::uint64_t max_request = 0;           // bytes of data in one request; 0: as libfuse has it
    std::optional<unsigned> read_ahead_kib;  // of the mount and of the branches' devices
    bool lazy_umount = false;                // a FUSE mount that is on the mountpoint is detached first

    std::vector<std::string> overruled;  // options that a file sets and the command line sets otherwise

    // What was given, on the command line or in a file, by options' names: as it was written.
    std::map<std::string, std::string> written;

    log::Level log_level = log::Level::info;
    std::string log_file;  // absolute; empty: syslog
    bool foreground = false;
    bool verbose = false;  // said on the terminal: what it is mounted with, and which words were left to mount(8)
    bool debug = false;    // every request is logged; implies foreground
};

}  // namespace plyfs::config

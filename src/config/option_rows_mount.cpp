// The rows of the mount itself: access, caching, data, what is handed on to the kernel, the program, fstab.
#include <algorithm>
#include <thread>

#include "config/error.h"
#include "config/option_rows.h"

namespace plyfs::config {
namespace {

using D = Draft;
using V = Value;

void hand_on(Draft& draft, std::string word) {
    draft.config.kernel_options.push_back(std::move(word));
}

void take_back(Draft& draft, std::string_view word) {
    std::erase(draft.config.kernel_options, word);
}

// The kernel takes the quotes away again; without them it would end the value at the comma.
void hand_on_label(Draft& draft, std::string_view name, const std::string& label) {
    const std::string quote = label.find(',') == std::string::npos ? "" : "\"";
    hand_on(draft, std::string(name) + "=" + quote + label + quote);
}

// The word of mount(2), or with a digit as its value fuse-overlayfs' other name for fsync=.
void set_sync(Draft& draft, const Value& value) {
    const bool digit = value.name == "sync" && (value.text == "0" || value.text == "1");
    if (digit) {
        draft.config.layers.sync = value.on;
        return;
    }
    take_back(draft, "sync");
    if (value.on) hand_on(draft, "sync");
}

// Digits alone are pages, as mergerfs has it.
void set_request_size(Draft& draft, const Value& value) {
    constexpr std::uint64_t kPage = 4096;
    constexpr std::uint64_t kMost = 65535 * kPage;  // what the kernel's interface carries
    const bool pages = value.text.find_first_not_of("0123456789") == std::string::npos;
    const std::uint64_t bytes = parse_size(value.text) * (pages ? kPage : 1);
    if (bytes < kPage || bytes > kMost) throw BadValue("'" + value.text + "' is not between 1 and 65535 pages of 4K");
    draft.config.max_request = bytes;
}

void set_read_ahead(Draft& draft, const Value& value) {
    constexpr int kMost = 1 << 20;
    if (value.number < 0 || value.number > kMost) throw BadValue("use a number of KiB from 0 to 1048576");
    draft.config.read_ahead_kib.reset();
    if (value.number > 0) draft.config.read_ahead_kib = static_cast<unsigned>(value.number);
}

void set_threads(Draft& draft, const Value& value) {
    constexpr int kMost = 512;
    if (value.number > kMost || value.number < -kMost) throw BadValue("use a number from -512 to 512");
    const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    draft.config.reader_threads = value.number < 0 ? std::max(1, processors / -value.number) : value.number;
}

void set_busy_poll(Draft& draft, const Value& value) {
    constexpr int kMost = 10000;
    if (value.number < 0 || value.number > kMost) throw BadValue("use a number from 0 to 10000");
    draft.config.busy_poll = std::chrono::microseconds(value.number);
}

void set_niceness(Draft& draft, const Value& value) {
    if (value.number < -20 || value.number > 19) throw BadValue("use a number from -20 to 19");
    draft.config.niceness = value.number;
}

constexpr std::string_view kNoTimes = "plyfs keeps no times itself, the branch's file system does";

constexpr const char* kNoRemount = "it is for mount(8): mount -o remount,ro DIR, and plyctl set changes options alone";

constexpr std::string_view kOurs = "plyfs sees to it itself";

// clang-format off
constexpr Option kRows[] = {
    // Who may do what.
    {Group::access, "allow_other", "noallow_other", "", Kind::flag, "", "on for root", Use::both,
     "users other than the one who mounts may enter",
     [](D& d, const V& v) { d.allow_other = v.on; }},
    {Group::access, "default_permissions", "nodefault_permissions", "kernel-permissions-check", Kind::flag, "", "on", Use::both,
     "the kernel checks owner, mode and ACLs",
     [](D& d, const V& v) { d.config.default_permissions = v.on; }},
    {Group::access, "ro", "rw", "", Kind::flag, "", "rw", Use::both,
     "nothing can be changed through the mount",
     [](D& d, const V& v) { d.config.read_only = v.on; }},
    {Group::access, "dev", "nodev", "", Kind::flag, "", "dev", Use::both,
     "device files work",
     [](D& d, const V& v) { d.config.dev = v.on; }},
    {Group::access, "suid", "nosuid", "", Kind::flag, "", "suid", Use::both,
     "set-user-ID bits and file capabilities work",
     [](D& d, const V& v) { d.config.suid = v.on; }},
    {Group::access, "exec", "noexec", "", Kind::flag, "", "exec", Use::both,
     "programs can be run",
     [](D& d, const V& v) { d.config.exec = v.on; }},

    // What the kernel may remember.
    {Group::caching, "entry_timeout", "", "cache.entry", Kind::seconds, "SECONDS", "layers 3600, pools 60 or 1", Use::both,
     "how long a name is taken to lead where it did",
     [](D& d, const V& v) { d.config.entry_timeout = v.seconds; }},
    {Group::caching, "attr_timeout", "", "cache.attr", Kind::seconds, "SECONDS", "layers 3600, pools 60 or 1", Use::both,
     "how long attributes are taken to be as they were",
     [](D& d, const V& v) { d.config.attr_timeout = v.seconds; }},
    {Group::caching, "negative_timeout", "", "cache.negative-entry", Kind::seconds, "SECONDS", "layers 3600, pools 1 or 0", Use::both,
     "how long a missing name is taken to be missing",
     [](D& d, const V& v) { d.config.negative_timeout = v.seconds; }},
    {Group::caching, "timeout", "", "", Kind::seconds, "SECONDS", "none", Use::both,
     "sets the three timeouts at once",
     [](D& d, const V& v) {
         d.config.entry_timeout = d.config.attr_timeout = d.config.negative_timeout = v.seconds;
     }},
    {Group::caching, "coherence", "", "", Kind::words, "auto|watch|timeout", "auto", Use::pool,
     "how what others change on a branch is noticed: told by the kernel, or asked for",
     [](D& d, const V& v) { d.config.coherence = static_cast<Coherence>(v.word); }},
    {Group::caching, "cache.files", "", "", Kind::words, "off|partial|full|auto-full|per-process|libfuse", "auto-full",
     Use::pool,
     "full, auto-full: what the daemon reads stays cached after the close",
     [](D& d, const V& v) { d.config.pool.files.cache = static_cast<CacheFiles>(v.word); }},
    {Group::caching, "cache.readdir", "", "", Kind::flag, "on|off", "on", Use::pool,
     "the kernel keeps listings of directories while they are right",
     [](D& d, const V& v) { d.config.pool.files.keep_listings = v.on; }},
    {Group::caching, "cache.symlinks", "", "", Kind::flag, "on|off", "on", Use::pool,
     "the kernel keeps targets of symbolic links",
     [](D& d, const V& v) { d.config.pool.files.keep_targets = v.on; }},
    {Group::caching, "cache.files.process-names", "", "", Kind::ignored, "", "none", Use::pool,
     "has no effect: all programs see one cache",
     [](D& d, const V& v) { no_effect(d, v.name, "all programs see one cache, which is right for each of them"); }},
    {Group::caching, "cache.writeback", "", "", Kind::flag, "on|off", "off", Use::pool,
     "on has no effect: writes are gathered by the branch's file system",
     [](D& d, const V& v) {
         if (v.on) no_effect(d, "cache.writeback", "writes are gathered by the branch's file system");
     }},
    {Group::caching, "dropcacheonclose", "", "", Kind::flag, "on|off", "off", Use::pool,
     "on has no effect: with passthrough nothing is cached twice",
     [](D& d, const V& v) {
         if (v.on) no_effect(d, "dropcacheonclose", "with passthrough nothing is cached twice");
     }},

    // How data is served.
    {Group::data, "transport", "", "", Kind::words, "auto|io_uring|devfuse", "auto", Use::both,
     "how requests reach the daemon",
     [](D& d, const V& v) { d.config.transport = static_cast<Transport>(v.word); }},
    {Group::data, "passthrough", "", "", Kind::words, "auto|on|off", "auto", Use::both,
     "the kernel reads and writes the branch's files itself where it can; on says the same",
     [](D& d, const V& v) { d.config.passthrough = v.word == 2 ? Passthrough::off : Passthrough::automatic; }},
    {Group::data, "passthrough.io", "", "", Kind::words, "off|ro|wo|rw", "rw", Use::both,
     "mergerfs' word for it; ro and wo do as rw, by halves it ends in errors",
     [](D& d, const V& v) {
         d.config.passthrough = v.word == 0 ? Passthrough::off : Passthrough::automatic;
         if (v.word != 1 && v.word != 2) return;
         no_effect(d, "passthrough.io=ro or wo", "files open for both at once would fail, so it is rw");
     }},
    {Group::data, "passthrough.max-stack-depth", "", "", Kind::words, "1|2", "by max-stack-depth", Use::both,
     "mergerfs' word for max-stack-depth, one more than that",
     [](D& d, const V& v) { d.config.max_stack_depth = v.word; }},
    {Group::data, "max-stack-depth", "", "", Kind::words, "auto|0|1", "auto", Use::both,
     "1: branches may be overlays themselves, and none fits on top of this mount",
     [](D& d, const V& v) {
         d.config.max_stack_depth = v.word == 0 ? std::nullopt : std::optional<int>(v.word - 1);
     }},
    {Group::data, "locks", "", "", Kind::words, "local|forward", "local", Use::both,
     "file locks are kept by the kernel for this mount, or taken on the branch's file",
     [](D& d, const V& v) { d.config.locks = static_cast<Locks>(v.word); }},
    {Group::data, "flush-on-close", "", "", Kind::words, "never|always|opened-for-write", "never", Use::pool,
     "whether close(2) waits for the branch's file system, such as NFS",
     [](D& d, const V& v) { d.config.pool.files.flush = static_cast<FlushOnClose>(v.word); }},
    {Group::data, "fuse-msg-size", "", "", Kind::text, "PAGES|SIZE", "1M", Use::both,
     "data in one request to the daemon, at most what the kernel allows",
     set_request_size},
    {Group::data, "readahead", "", "", Kind::number, "KIB", "the kernel's", Use::both,
     "how far the kernel reads ahead on the mount and on the branches' devices",
     set_read_ahead},
    {Group::data, "nullrw", "", "", Kind::flag, "", "off", Use::pool,
     "reads and writes do nothing, to measure the rest",
     [](D& d, const V& v) { d.config.pool.files.null_io = v.on; }},
    {Group::data, "proxy-ioprio", "", "", Kind::flag, "", "off", Use::pool,
     "what the daemon reads and writes has the caller's I/O priority",
     [](D& d, const V& v) { d.config.pool.files.proxy_ioprio = v.on; }},

    // Handed on to the kernel.
    {Group::kernel, "fsname", "", "", Kind::text, "NAME", "the first word", Use::both,
     "what df(1) and mount(8) show as the source",
     [](D& d, const V& v) { d.config.fsname = v.text; }},
    {Group::kernel, "subtype", "", "", Kind::text, "NAME", "plyfs", Use::both,
     "the type is shown as fuse.NAME; as fuse-overlayfs: fuse.fuse-overlayfs",
     [](D& d, const V& v) { d.config.subtype = v.text; }},
    {Group::kernel, "atime", "noatime", "", Kind::flag, "", "atime", Use::both,
     "noatime: reading does not change access times",
     [](D& d, const V& v) { take_back(d, "noatime"); if (!v.on) hand_on(d, "noatime"); }},
    {Group::kernel, "diratime", "nodiratime", "", Kind::flag, "", "diratime", Use::both,
     "nodiratime: the same for directories only",
     [](D& d, const V& v) { take_back(d, "nodiratime"); if (!v.on) hand_on(d, "nodiratime"); }},
    {Group::kernel, "relatime", "norelatime", "", Kind::flag, "", "relatime", Use::both,
     "the kernel's default; norelatime has no effect",
     [](D& d, const V& v) { if (!v.on) no_effect(d, "norelatime", kNoTimes); }},
    {Group::kernel, "strictatime", "nostrictatime", "", Kind::flag, "", "nostrictatime", Use::both,
     "has no effect: the branch's file system keeps the times",
     [](D& d, const V& v) { if (v.on) no_effect(d, "strictatime", kNoTimes); }},
    {Group::kernel, "lazytime", "nolazytime", "", Kind::flag, "", "nolazytime", Use::both,
     "has no effect: the branch's file system keeps the times",
     [](D& d, const V& v) { if (v.on) no_effect(d, "lazytime", kNoTimes); }},
    {Group::kernel, "sync", "async", "", Kind::flag, "", "async", Use::both,
     "every write is on the disk before it returns; turns passthrough off",
     set_sync},
    {Group::kernel, "dirsync", "", "", Kind::flag, "", "off", Use::both,
     "has no effect: mount the branches' file systems with it, which make the changes",
     [](D& d, const V& v) { if (v.on) no_effect(d, "dirsync", "mount the branches' file systems with it"); }},
    {Group::kernel, "symfollow", "nosymfollow", "", Kind::flag, "", "symfollow", Use::both,
     "nosymfollow: symbolic links are not followed",
     [](D& d, const V& v) { take_back(d, "nosymfollow"); if (!v.on) hand_on(d, "nosymfollow"); }},
    {Group::kernel, "silent", "", "loud mand nomand iversion noiversion", Kind::flag, "", "off", Use::both,
     "mount(2) words that mean nothing here; a notice says so",
     [](D& d, const V&) { no_effect(d, "silent, loud, mand or iversion", "it means nothing for FUSE"); }},
    {Group::kernel, "max_read", "", "", Kind::size, "BYTES", "the kernel's", Use::both,
     "largest read request to the daemon",
     [](D& d, const V& v) { hand_on(d, "max_read=" + std::to_string(v.bytes)); }},
    {Group::kernel, "max_write", "", "max_background max_threads max_idle_threads clone_fd big_writes nonempty allow_root",
     Kind::ignored, "", "none", Use::both,
     "words of FUSE programs without effect: plyfs sees to it itself",
     [](D& d, const V& v) { no_effect(d, v.name, kOurs); }},
    {Group::kernel, "kernel_cache", "",
     "auto_cache splice_read splice_write splice_move no_splice_read no_splice_write no_splice_move", Kind::ignored, "",
     "none", Use::both,
     "the same",
     [](D& d, const V& v) { no_effect(d, v.name, kOurs); }},
    {Group::kernel, "use_ino", "", "atomic-o-trunc auto_unmount blkdev blksize cache.open hard_remove negative-entry",
     Kind::ignored, "", "none", Use::both,
     "words of mergerfs without effect: plyfs sees to it itself",
     [](D& d, const V& v) { no_effect(d, v.name, kOurs); }},
    {Group::kernel, "direct-io", "", "direct-io-allow-mmap parallel-direct-writes async-read sync_read", Kind::ignored, "",
     "none", Use::both,
     "the same",
     [](D& d, const V& v) { no_effect(d, v.name, kOurs); }},
    {Group::kernel, "handle-killpriv", "", "handle-killpriv-v2 gid-cache.expire-timeout gid-cache.remove-timeout",
     Kind::ignored, "", "none", Use::both,
     "the same",
     [](D& d, const V& v) { no_effect(d, v.name, kOurs); }},
    {Group::kernel, "uid", "", "gid umask", Kind::ignored, "", "none", Use::both,
     "have no effect: owner and mode are those on the branch",
     [](D& d, const V& v) { no_effect(d, v.name, "owner and mode are those on the branch"); }},
    {Group::kernel, "allow-idmap", "", "", Kind::flag, "", "off", Use::both,
     "has no effect: libfuse can not ask the kernel for it",
     [](D& d, const V& v) { if (v.on) no_effect(d, v.name, "libfuse can not ask the kernel for it"); }},
    {Group::kernel, "context", "", "", Kind::text, "LABEL", "none", Use::both,
     "SELinux label of everything in the mount",
     [](D& d, const V& v) { hand_on_label(d, "context", v.text); }},
    {Group::kernel, "fscontext", "", "", Kind::text, "LABEL", "none", Use::both,
     "SELinux label of the file system",
     [](D& d, const V& v) { hand_on_label(d, "fscontext", v.text); }},
    {Group::kernel, "defcontext", "", "", Kind::text, "LABEL", "none", Use::both,
     "SELinux label of what has none",
     [](D& d, const V& v) { hand_on_label(d, "defcontext", v.text); }},
    {Group::kernel, "rootcontext", "", "", Kind::text, "LABEL", "none", Use::both,
     "SELinux label of the mount's root",
     [](D& d, const V& v) { hand_on_label(d, "rootcontext", v.text); }},

    // The program itself.
    {Group::process, "log-level", "", "", Kind::words, "trace|debug|info|warn|error|off", "info", Use::both,
     "what is logged, and everything graver",
     [](D& d, const V& v) { d.log_level = static_cast<log::Level>(v.word); }},
    {Group::process, "debug", "", "", Kind::flag, "", "off", Use::both,
     "as -d: stay in the foreground and log every request",
     [](D& d, const V& v) { d.config.debug = v.on; }},
    {Group::process, "log.file", "", "", Kind::path, "FILE", "syslog", Use::both,
     "where the log goes once the command has returned",
     [](D& d, const V& v) { d.config.log_file = v.text; }},
    {Group::process, "read-thread-count", "", "threads", Kind::number, "N", "0", Use::both,
     "threads that read requests from /dev/fuse; 0: by the processors, -N: their number divided by N",
     set_threads},
    {Group::process, "busy-poll", "", "", Kind::number, "USEC", "100", Use::both,
     "how long a thread looks out for the next request on /dev/fuse, while they come that fast; 0: never",
     set_busy_poll},
    {Group::process, "supervise", "", "", Kind::flag, "on|off", "off", Use::both,
     "when the daemon dies another one takes over, and the mount goes on",
     [](D& d, const V& v) { d.config.supervise = v.on; }},
    {Group::process, "seccomp", "", "", Kind::flag, "on|off", "off", Use::both,
     "the daemon gives up the system calls that it does not need",
     [](D& d, const V& v) { d.config.seccomp = v.on; }},
    {Group::process, "process-thread-count", "", "process-thread-queue-depth pin-threads", Kind::ignored, "", "none",
     Use::both,
     "have no effect: who reads a request serves it, and long work has threads of its own",
     [](D& d, const V& v) {
         no_effect(d, v.name, "who reads a request serves it, and long work has threads of its own");
     }},
    {Group::process, "scheduling-priority", "", "", Kind::number, "-20..19", "0", Use::both,
     "the daemon's niceness",
     set_niceness},
    {Group::process, "lazy-umount-mountpoint", "", "", Kind::flag, "", "off", Use::both,
     "a FUSE mount on the mountpoint, such as the one before this, is detached first",
     [](D& d, const V& v) { d.config.lazy_umount = v.on; }},

    // Words of fstab(5) and mount(8), which has done what they say by the time plyfs runs.
    {Group::fstab, "defaults", "", "", Kind::ignored, "", "", Use::both,
     "the defaults", nullptr},
    {Group::fstab, "auto", "", "noauto nofail _netdev", Kind::ignored, "", "", Use::both,
     "when to mount, and whether a failure matters", nullptr},
    {Group::fstab, "user", "", "users nouser nousers owner noowner group nogroup", Kind::ignored, "", "", Use::both,
     "who may mount; mount(8) adds noexec, nosuid and nodev itself", nullptr},
    {Group::fstab, "private", "", "rprivate shared rshared slave rslave unbindable runbindable", Kind::ignored, "", "",
     Use::both,
     "how mounts spread to other namespaces: for mount(8) and container engines, which see to it", nullptr},
    {Group::fstab, "x-*", "", "comment", Kind::ignored, "", "", Use::both,
     "x-systemd.automount and the like, comment=TEXT", nullptr},
    {Group::fstab, "remount", "", "", Kind::ignored, "", "", Use::both,
     "for mount(8): kernel flags and what may change while mounted are changed",
     [](D&, const V&) { throw BadValue(kNoRemount); }},
};
// clang-format on

}  // namespace

std::span<const Option> mount_rows() {
    return kRows;
}

}  // namespace plyfs::config

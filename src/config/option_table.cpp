// The rows of the option table, and how each sets its field.
#include "config/error.h"
#include "config/options.h"
#include "config/policy_words.h"

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

void no_effect(Draft& draft, std::string_view what, std::string_view why) {
    draft.notices.push_back("option " + std::string(what) + " has no effect: " + std::string(why));
}

void add_lowerdir(Draft& draft, const std::string& path) {
    if (!draft.datadirs.empty()) throw BadValue("a layer can not follow the data-only ones; name it before them");
    if (!draft.lowerdirs) draft.lowerdirs.emplace();
    draft.lowerdirs->push_back(path);
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

// A rename or a link is of the whole object, wherever it has copies.
constexpr bool is_of_the_whole(Function function) {
    return function == Function::rename || function == Function::link;
}
constexpr bool is_everywhere(Policy policy) {
    return policy == Policy::all || policy == Policy::epall;
}

template <Function kFunction>
constexpr Option function_row(std::string_view name) {
    constexpr Category category = category_of(kFunction);
    return {Group::placement,
            name,
            "",
            "",
            Kind::policy,
            "POLICY",
            category == Category::search   ? "ff"
            : category == Category::action ? "epall"
                                           : "pfrd",
            Use::pool,
            kFunction == Function::getattr ? "which branch answers where several have a file"
            : category == Category::search ? "has no effect if it is another one than func.getattr"
            : is_of_the_whole(kFunction)   ? "epall or all; others are refused"
            : category == Category::action ? "where it is done when several branches have a file"
                                           : "which branch takes a new one",
            [](Draft& draft, const Value& value) {
                if (is_of_the_whole(kFunction) && !is_everywhere(value.policy)) {
                    throw BadValue("a file is renamed and linked as a whole, with all its copies; use epall");
                }
                draft.config.pool.policies.set(kFunction, value.policy);
            }};
}

template <Category kCategory>
void set_category(Draft& draft, const Value& value) {
    Policies& policies = draft.config.pool.policies;
    if (kCategory != Category::action || is_everywhere(value.policy)) return policies.set(kCategory, value.policy);
    for (int i = 0; i < static_cast<int>(Function::count_); ++i) {
        const auto function = static_cast<Function>(i);
        if (category_of(function) != kCategory || is_of_the_whole(function)) continue;
        policies.set(function, value.policy);
    }
    draft.notices.push_back(
        "option category.action leaves func.rename and func.link as they are: a file is renamed "
        "and linked as a whole, with all its copies");
}

// A policy, or whether there is one at all.
void set_move_policy(Draft& draft, const Value& value) {
    auto& policy = draft.config.pool.move_policy;
    try {
        policy = parse_bool(value.text) ? PoolOptions().move_policy : std::nullopt;
    } catch (const BadValue&) {
        policy = parse_policy(value.text);
    }
}

constexpr std::string_view kNoTimes = "plyfs keeps no times itself, the branch's file system does";

constexpr std::string_view kOurs = "plyfs sees to it itself";

// clang-format off
constexpr Option kTable[] = {
    // What is merged.
    {Group::tree, "branches", "", "", Kind::branches, "DIR[=MODE[,MINFREE]]:...", "the words BRANCHES", Use::pool,
     "directories or patterns of some, the first has priority",
     [](D& d, const V& v) { d.branches = v.branches; }},
    {Group::tree, "lowerdir", "", "", Kind::layers, "DIR:...", "none", Use::layers,
     "read-only layers, the leftmost on top; after '::' data-only ones",
     [](D& d, const V& v) { d.lowerdirs = v.paths; d.datadirs = v.data_paths; }},
    {Group::tree, "lowerdir+", "", "", Kind::path, "DIR", "none", Use::layers,
     "one more read-only layer, below those named before",
     [](D& d, const V& v) { add_lowerdir(d, v.text); }},
    {Group::tree, "datadir+", "", "", Kind::path, "DIR", "none", Use::layers,
     "one more data-only layer, below everything named before",
     [](D& d, const V& v) { d.datadirs.push_back(v.text); }},
    {Group::tree, "upperdir", "", "", Kind::path, "DIR", "none: read-only", Use::layers,
     "the layer that takes all changes",
     [](D& d, const V& v) { d.upperdir = v.text; }},
    {Group::tree, "workdir", "", "", Kind::path, "DIR", "pools: inside the branches", Use::both,
     "where changes are prepared; on upperdir's file system, for this mount alone",
     [](D& d, const V& v) { d.config.workdir = v.text; }},
    {Group::tree, "mountpoint", "", "", Kind::path, "DIR", "the last word", Use::both,
     "where the merged tree appears",
     [](D& d, const V& v) { d.config.mountpoint = v.text; }},
    {Group::tree, "config", "", "", Kind::path, "FILE", "none", Use::both,
     "read options from this YAML file first",
     [](D& d, const V& v) { d.config_file = v.text; }},
    {Group::tree, "branches-missing", "", "", Kind::words, "fail|wait|degraded", "fail", Use::pool,
     "a branch that is not there: no mount, wait for it, or mount without it",
     [](D& d, const V& v) { d.missing = static_cast<BranchesMissing>(v.word); }},
    {Group::tree, "branches-mount-timeout", "", "", Kind::seconds, "SECONDS", "0", Use::pool,
     "how long to wait for branches to be mounted; more than 0 says branches-missing=wait",
     [](D& d, const V& v) { d.config.pool.mount_timeout = v.seconds; }},
    {Group::tree, "branches-mount-timeout-fail", "", "", Kind::flag, "", "off", Use::pool,
     "no mount when that time is over, instead of one without the branch",
     [](D& d, const V& v) { d.config.pool.mount_timeout_fail = v.on; }},

    // Where things go in a pool.
    {Group::placement, "create", "", "category.create", Kind::policy, "POLICY", "pfrd", Use::pool,
     "which branch takes a new name, for all four functions",
     set_category<Category::create>},
    {Group::placement, "category.search", "", "", Kind::policy, "POLICY", "ff", Use::pool,
     "which branch answers where several have a file",
     set_category<Category::search>},
    {Group::placement, "category.action", "", "", Kind::policy, "POLICY", "epall", Use::pool,
     "where changes are made when several branches have a file",
     set_category<Category::action>},
    function_row<Function::create>("func.create"),
    function_row<Function::mkdir>("func.mkdir"),
    function_row<Function::mknod>("func.mknod"),
    function_row<Function::symlink>("func.symlink"),
    function_row<Function::getattr>("func.getattr"),
    function_row<Function::access>("func.access"),
    function_row<Function::getxattr>("func.getxattr"),
    function_row<Function::listxattr>("func.listxattr"),
    function_row<Function::open>("func.open"),
    function_row<Function::readlink>("func.readlink"),
    function_row<Function::chmod>("func.chmod"),
    function_row<Function::chown>("func.chown"),
    function_row<Function::removexattr>("func.removexattr"),
    function_row<Function::rmdir>("func.rmdir"),
    function_row<Function::setxattr>("func.setxattr"),
    function_row<Function::truncate>("func.truncate"),
    function_row<Function::unlink>("func.unlink"),
    function_row<Function::utimens>("func.utimens"),
    function_row<Function::link>("func.link"),
    function_row<Function::rename>("func.rename"),
    {Group::placement, "minfreespace", "", "", Kind::min_free, "SIZE|PERCENT%", "4G, or 5% of a smaller branch", Use::pool,
     "branches with less available take no new names",
     [](D& d, const V& v) { d.config.pool.min_free = v.min_free; }},
    {Group::placement, "moveonenospc", "", "", Kind::text, "false|true|POLICY", "pfrd", Use::pool,
     "which branch takes a file over whose own is full; true says pfrd",
     set_move_policy},
    {Group::placement, "moveonenospc-reserve", "", "", Kind::min_free, "SIZE|PERCENT%", "64G, or 5% of a smaller branch",
     Use::pool,
     "with less available files are written through the daemon",
     [](D& d, const V& v) { d.config.pool.move_reserve = v.min_free; }},
    {Group::placement, "cache.statfs", "", "", Kind::seconds, "SECONDS", "1", Use::pool,
     "how long a look at a branch's free space is believed",
     [](D& d, const V& v) { d.config.pool.space_age = v.seconds; }},
    {Group::placement, "rules", "", "", Kind::rules, "LIST", "none", Use::pool,
     "where names go by path, name and owner; in a configuration file only",
     [](D& d, const V& v) { d.config.pool.rules = v.rules; }},

    // How layers are kept.
    {Group::layers, "redirect_dir", "", "", Kind::words, "on|follow|nofollow|off", "on; follow with userxattr", Use::layers,
     "rename lower directories by redirects; follow: only read them",
     [](D& d, const V& v) { d.config.layers.redirect_dir = static_cast<RedirectDir>(v.word); }},
    {Group::layers, "metacopy", "", "", Kind::flag, "on|off", "off; on as fuse-overlayfs", Use::layers,
     "a change of owner, mode or times copies up no data",
     [](D& d, const V& v) { d.config.layers.metacopy = v.on; }},
    {Group::layers, "index", "", "", Kind::words, "auto|on|off", "auto", Use::layers,
     "names of one file stay one file when it is copied up",
     [](D& d, const V& v) { d.config.layers.index = static_cast<Index>(v.word); }},
    {Group::layers, "userxattr", "", "", Kind::flag, "", "off", Use::layers,
     "marks are kept in user.overlay.* alone",
     [](D& d, const V& v) { d.config.layers.userxattr = v.on; }},
    {Group::layers, "upper-format", "", "", Kind::words, "auto|overlay|overlay-user|aufs", "auto", Use::layers,
     "how whiteouts and opaque directories are written",
     [](D& d, const V& v) { d.config.layers.upper_format = static_cast<UpperFormat>(v.word); }},
    {Group::layers, "copyup-readers", "", "", Kind::words, "snapshot|follow", "snapshot", Use::layers,
     "what a descriptor opened before a copy-up reads: the original, or the copy",
     [](D& d, const V& v) { d.config.layers.readers = static_cast<CopyUpReaders>(v.word); }},
    {Group::layers, "volatile", "", "", Kind::flag, "", "off", Use::layers,
     "nothing is synced; a crash of the machine may lose everything",
     [](D& d, const V& v) { d.config.layers.sync = !v.on; }},
    {Group::layers, "fsync", "", "", Kind::flag, "0|1", "1", Use::layers,
     "0 says the same as volatile, as does sync=0",
     [](D& d, const V& v) { d.config.layers.sync = v.on; }},
    {Group::layers, "uidmapping", "", "", Kind::id_ranges, "DISK:SHOWN:COUNT:...", "none", Use::layers,
     "users with ids from DISK on a layer are shown from SHOWN on",
     [](D& d, const V& v) { d.config.layers.uids = v.ranges; }},
    {Group::layers, "gidmapping", "", "", Kind::id_ranges, "DISK:SHOWN:COUNT:...", "none", Use::layers,
     "the same for groups",
     [](D& d, const V& v) { d.config.layers.gids = v.ranges; }},
    {Group::layers, "squash_to_root", "", "", Kind::flag, "", "off", Use::layers,
     "everything is shown as root's",
     [](D& d, const V& v) { d.squash_to_root = v.on; }},
    {Group::layers, "squash_to_uid", "", "", Kind::id, "UID", "none", Use::layers,
     "everything is shown as this user's",
     [](D& d, const V& v) { d.config.layers.squash_uid = v.id; }},
    {Group::layers, "squash_to_gid", "", "", Kind::id, "GID", "none", Use::layers,
     "everything is shown as this group's",
     [](D& d, const V& v) { d.config.layers.squash_gid = v.id; }},
    {Group::layers, "xattr_permissions", "", "", Kind::words, "auto|0|1|2", "auto", Use::layers,
     "owner and mode are kept in an attribute: 1 security.*, 2 user.containers.override_stat",
     [](D& d, const V& v) { d.config.layers.stat_override = static_cast<StatOverride>(v.word); }},
    {Group::layers, "static_nlink", "", "", Kind::flag, "", "off", Use::layers,
     "directories show one link",
     [](D& d, const V& v) { d.config.layers.static_nlink = v.on; }},
    {Group::layers, "noxattrs", "", "", Kind::flag, "", "off", Use::layers,
     "there are no extended attributes in the mount",
     [](D& d, const V& v) { d.config.layers.xattrs = !v.on; }},
    {Group::layers, "noacl", "", "", Kind::flag, "", "off", Use::layers,
     "ACLs are not looked at",
     [](D& d, const V& v) { d.config.layers.acls = !v.on; }},
    {Group::layers, "xino", "", "", Kind::words, "off|auto|on", "on", Use::layers,
     "off has no effect: inode numbers are always made unique",
     [](D& d, const V& v) { if (v.word == 0) no_effect(d, "xino=off", "inode numbers are always made unique"); }},
    {Group::layers, "nfs_export", "", "", Kind::flag, "on|off", "off", Use::layers,
     "on has no effect: file handles of a FUSE mount do not last",
     [](D& d, const V& v) { if (v.on) no_effect(d, "nfs_export=on", "file handles of a FUSE mount do not last"); }},
    {Group::layers, "uuid", "", "", Kind::words, "off|null|auto|on", "off", Use::layers,
     "on has no effect: a FUSE mount has no lasting id",
     [](D& d, const V& v) { if (v.word == 3) no_effect(d, "uuid=on", "a FUSE mount has no lasting id"); }},
    {Group::layers, "verity", "", "", Kind::words, "off|on|require", "off", Use::layers,
     "on and require are refused: content would not be verified",
     [](D&, const V& v) {
         if (v.word != 0) throw BadValue("content would not be verified against fs-verity digests; use verity=off");
     }},
    {Group::layers, "plugins", "", "", Kind::ignored, "", "none", Use::layers,
     "refused: layers that a plugin of fuse-overlayfs serves can not be read",
     [](D&, const V&) { throw BadValue("plugins of fuse-overlayfs can not be loaded; leave it out"); }},
    {Group::layers, "threaded", "", "writeback fast_ino fast_ino_check ino32_t", Kind::ignored, "", "none", Use::layers,
     "words of fuse-overlayfs that have no effect here",
     [](D& d, const V& v) { no_effect(d, v.name, "plyfs serves requests in parallel and data in passthrough"); }},
    {Group::layers, "override_creds", "nooverride_creds", "", Kind::flag, "", "override_creds", Use::layers,
     "nooverride_creds has no effect: layers are read with the daemon's rights",
     [](D& d, const V& v) {
         if (!v.on) no_effect(d, "nooverride_creds", "layers are read with the daemon's rights");
     }},

    // Who may do what.
    {Group::access, "allow_other", "noallow_other", "", Kind::flag, "", "on for root", Use::both,
     "users other than the one who mounts may enter",
     [](D& d, const V& v) { d.allow_other = v.on; }},
    {Group::access, "default_permissions", "nodefault_permissions", "", Kind::flag, "", "on", Use::both,
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
    {Group::caching, "entry_timeout", "", "", Kind::seconds, "SECONDS", "layers 3600, pools 1", Use::both,
     "how long a name is taken to lead where it did",
     [](D& d, const V& v) { d.config.entry_timeout = v.seconds; }},
    {Group::caching, "attr_timeout", "", "", Kind::seconds, "SECONDS", "layers 3600, pools 1", Use::both,
     "how long attributes are taken to be as they were",
     [](D& d, const V& v) { d.config.attr_timeout = v.seconds; }},
    {Group::caching, "negative_timeout", "", "", Kind::seconds, "SECONDS", "layers 3600, pools 0", Use::both,
     "how long a missing name is taken to be missing",
     [](D& d, const V& v) { d.config.negative_timeout = v.seconds; }},
    {Group::caching, "timeout", "", "", Kind::seconds, "SECONDS", "none", Use::both,
     "sets the three timeouts at once",
     [](D& d, const V& v) {
         d.config.entry_timeout = d.config.attr_timeout = d.config.negative_timeout = v.seconds;
     }},

    // How data is served.
    {Group::data, "transport", "", "", Kind::words, "auto|io_uring|devfuse", "auto", Use::both,
     "how requests reach the daemon",
     [](D& d, const V& v) { d.config.transport = static_cast<Transport>(v.word); }},
    {Group::data, "passthrough", "", "", Kind::words, "auto|on|off", "auto", Use::both,
     "the kernel reads and writes the branch's files itself where it can; on says the same",
     [](D& d, const V& v) { d.config.passthrough = v.word == 2 ? Passthrough::off : Passthrough::automatic; }},
    {Group::data, "max-stack-depth", "", "", Kind::words, "auto|0|1", "auto", Use::both,
     "1: branches may be overlays themselves, and none fits on top of this mount",
     [](D& d, const V& v) {
         d.config.max_stack_depth = v.word == 0 ? std::nullopt : std::optional<int>(v.word - 1);
     }},
    {Group::data, "locks", "", "", Kind::words, "local|forward", "local", Use::both,
     "file locks are kept by the kernel for this mount, or taken on the branch's file",
     [](D& d, const V& v) { d.config.locks = static_cast<Locks>(v.word); }},

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
     "every write is on the disk before it returns",
     set_sync},
    {Group::kernel, "dirsync", "", "", Kind::flag, "", "off", Use::both,
     "the same for changes of directories",
     [](D& d, const V& v) { take_back(d, "dirsync"); if (v.on) hand_on(d, "dirsync"); }},
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
     "refused: unmount, and mount again",
     [](D&, const V&) { throw BadValue("a mount of plyfs can not be changed; unmount it and mount it again"); }},
};
// clang-format on

}  // namespace

std::span<const Option> option_table() {
    return kTable;
}

}  // namespace plyfs::config

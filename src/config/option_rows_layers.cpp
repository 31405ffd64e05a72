// The rows of how layers are kept.
#include "config/error.h"
#include "config/option_rows.h"

namespace plyfs::config {
namespace {

using D = Draft;
using V = Value;

// clang-format off
constexpr Option kRows[] = {
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
     "files have handles, which are good until the file is removed or the mount ends",
     [](D& d, const V& v) { d.config.layers.handles = v.on; }},
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
};
// clang-format on

}  // namespace

std::span<const Option> layer_rows() {
    return kRows;
}

}  // namespace plyfs::config

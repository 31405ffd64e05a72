// The rows of how a pool shows its files. The names and values are mergerfs'.
#include <algorithm>
#include <cctype>

#include "config/error.h"
#include "config/option_rows.h"

namespace plyfs::config {
namespace {

using D = Draft;
using V = Value;

FileOptions& files(Draft& draft) {
    return draft.config.pool.files;
}

// "seq", "cosr:4:8", "cor:4": mergerfs reads with N threads and M directories waiting.
void set_reading(Draft& draft, const Value& value) {
    const std::string_view text = value.text;
    const std::string_view way = text.substr(0, text.find(':'));
    bool good = text == "seq" || way == "cosr" || way == "cor";
    int numbers = 0;
    for (std::size_t i = way.size(); good && i < text.size(); ++numbers) {
        const std::size_t end = std::min(text.find(':', i + 1), text.size());
        good = numbers < 2 && end > i + 1;
        for (std::size_t digit = i + 1; good && digit < end; ++digit) {
            good = std::isdigit(static_cast<unsigned char>(text[digit])) != 0;
        }
        i = end;
    }
    if (!good) throw BadValue("'" + value.text + "' is none of seq, cosr[:N[:M]] and cor[:N[:M]]");
    if (text != "seq")
        no_effect(draft, "func.readdir=" + value.text, "names come with their attributes, branch by branch");
}

// clang-format off
constexpr Option kRows[] = {
    {Group::files, "statfs", "", "", Kind::words, "base|full", "base", Use::pool,
     "what df sums up: all branches, or those that have the path",
     [](D& d, const V& v) { files(d).statfs = static_cast<Statfs>(v.word); }},
    {Group::files, "statfs-ignore", "", "", Kind::words, "none|ro|nc", "none", Use::pool,
     "whose free space counts not; none: everybody's does",
     [](D& d, const V& v) { files(d).statfs_ignore = static_cast<StatfsIgnore>(v.word); }},
    {Group::files, "inodecalc", "", "", Kind::words,
     "stable|passthrough|path-hash|path-hash32|devino-hash|devino-hash32|hybrid-hash|hybrid-hash32", "stable", Use::pool,
     "which inode numbers are shown; stable: the branch's own, made unique",
     [](D& d, const V& v) { files(d).inodes = static_cast<InodeCalc>(v.word); }},
    {Group::files, "func.readdir", "", "", Kind::text, "seq|cosr[:N[:M]]|cor[:N[:M]]", "seq", Use::pool,
     "others than seq have no effect: names come with their attributes",
     set_reading},
    {Group::files, "link-cow", "", "", Kind::flag, "", "off", Use::pool,
     "a name that is opened for writing parts from the other names of its file",
     [](D& d, const V& v) { files(d).link_cow = v.on; }},
    {Group::files, "symlinkify", "", "", Kind::flag, "", "off", Use::pool,
     "what nobody may write to and was not changed for long is shown as a link",
     [](D& d, const V& v) { files(d).symlinkify = v.on; }},
    {Group::files, "symlinkify-timeout", "", "", Kind::seconds, "SECONDS", "3600", Use::pool,
     "how long that is",
     [](D& d, const V& v) { files(d).symlinkify_age = v.seconds; }},
    {Group::files, "follow-symlinks", "", "", Kind::words, "never|directory|regular|all", "never", Use::pool,
     "others than never have no effect: no link leads the daemon out of a branch",
     [](D& d, const V& v) {
         if (v.word != 0) no_effect(d, "follow-symlinks", "no link may lead the daemon out of a branch; users follow them");
     }},
    {Group::files, "nfsopenhack", "", "", Kind::words, "off|git|all", "off", Use::pool,
     "others than off have no effect: what the kernel allowed to open is opened",
     [](D& d, const V& v) {
         if (v.word != 0) no_effect(d, "nfsopenhack", "what the kernel has allowed is opened with the daemon's rights");
     }},
    {Group::files, "xattr", "", "", Kind::words, "passthrough|noattr|nosys", "passthrough", Use::pool,
     "extended attributes: the branch's, none found, or not there at all",
     [](D& d, const V& v) { files(d).xattrs = static_cast<Xattrs>(v.word); }},
    {Group::files, "security-capability", "", "", Kind::flag, "on|off", "on", Use::pool,
     "off: no file has capabilities, and the branch is not asked",
     [](D& d, const V& v) { files(d).capabilities = v.on; }},
    {Group::files, "posix-acl", "", "", Kind::flag, "on|off", "on", Use::pool,
     "ACLs are looked at when access is decided",
     [](D& d, const V& v) { files(d).acls = v.on; }},
    {Group::files, "export-support", "", "", Kind::flag, "on|off", "off, on with never-forget-nodes", Use::pool,
     "files have handles, for NFS and open_by_handle_at(2)",
     [](D& d, const V& v) { files(d).handles = v.on; }},
    {Group::files, "never-forget-nodes", "", "noforget remember remember-nodes", Kind::count, "", "off", Use::pool,
     "handles are good until the file is removed or the mount ends, at the price of memory",
     [](D& d, const V& v) { files(d).keep_nodes = v.on; if (v.on) files(d).handles = true; }},
};
// clang-format on

}  // namespace

std::span<const Option> file_rows() {
    return kRows;
}

}  // namespace plyfs::config

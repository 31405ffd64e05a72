// The marks of layered trees: whiteouts (a name hidden below) and opaque directories (everything below hidden). Read in
// all forms there are: the kernel's, also those in user.overlay.*, fuse-overlayfs' and AUFS'. Written in one of them
// (branch/mark_rules.h), so that whoever reads that form can mount what we wrote. Also which extended attributes are
// ours and how a nested overlay's own attributes are kept apart from them.
//
// What carries content is no mark: a whiteout in a regular file is empty, so hiding and removing it loses nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/mark_rules.h"
#include "sys/protection.h"
#include "sys/stat.h"

namespace plyfs::marks {

inline constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";
inline constexpr const char* kOpaqueXattrUser = "user.overlay.opaque";
inline constexpr std::string_view kAufsPrefix = ".wh.";
inline constexpr const char* kAufsOpaque = ".wh..wh..opq";

// The device form; the others need more than a stat.
inline bool is_whiteout(const sys::Stat& st) {
    return sys::is_whiteout_device(st);
}
// May be one with the attribute, or one of AUFS' files: an empty regular file.
inline bool may_be_mark_file(const sys::Stat& st) {
    return sys::is_regular(st) && st.stx_size == 0;
}
// Whether the file has the attribute of a whiteout; asked only where the directory says that it holds such.
Result<bool> has_whiteout_xattr(BorrowedFd dir, const Name& name, const MarkRules& rules);

// Names that AUFS' marks have; a user of the mount can not make such a name where they are read.
inline bool is_aufs_name(std::string_view name) {
    return name.starts_with(kAufsPrefix);
}
// An object with such a name that is a mark or AUFS' own, and so not shown. Others are a user's files.
bool is_aufs_mark(std::string_view name, const sys::Stat& st);
// The name that a file of AUFS' hides; empty when it hides none: it marks its directory, or is no such file.
std::string_view hidden_by(std::string_view name);
// The file that would hide the name, which has to outlive the Name; none for names too long for it (252 bytes on).
class AufsName {
  public:
    explicit AufsName(const Name& name) : text_(std::string(kAufsPrefix).append(name.view())) {}
    Result<Name> name() const { return Name::parse(text_); }

  private:
    std::string text_;
};

// Of a directory, by any descriptor. Errors other than "has no such mark" are passed on.
Result<bool> is_opaque(BorrowedFd dir, const MarkRules& rules = {});
// AUFS' form of it alone.
Result<bool> has_aufs_opaque(BorrowedFd dir);
// That empty files with the attribute are whiteouts in it.
Result<bool> holds_xattr_whiteouts(BorrowedFd dir, const MarkRules& rules);
Status make_opaque(BorrowedFd dir, const MarkRules& rules = {});
// Says so of a directory, unless it says it already.
Status allow_xattr_whiteouts(BorrowedFd dir, const MarkRules& rules);

// The three forms of a whiteout. The device and the file are made in place: EEXIST, except that a file that is there
// already is as good. The attribute is for an empty file that somebody makes and puts in place.
Status make_whiteout(BorrowedFd dir, const Name& name);
Status make_aufs_whiteout(BorrowedFd dir, const Name& name);
Status make_xattr_whiteout(BorrowedFd file, const MarkRules& rules);
// Removes the file that hides the name, if there is one. True: there was.
Result<bool> remove_aufs_whiteout(BorrowedFd dir, const Name& name);

// Any form of whiteout and AUFS' other files: what a directory that shows no entries may hold.
Result<bool> is_any_mark(BorrowedFd dir, const Name& name);

// Which marks an entry carries, found in one list of its attributes.
struct Found {
    bool opaque = false;
    bool redirect = false;
    bool metacopy = false;
    bool copying = false;
    bool protection = false;
};
Result<Found> find_marks(BorrowedFd dir, const Name& name, const MarkRules& rules = {});
// As is_opaque, of a directory whose attributes were listed already.
Result<bool> is_opaque(BorrowedFd dir, const MarkRules& rules, const Found& found);

// Redirect: where the layers below have what this object is merged with, or, of a metacopy, where its content is. An
// absolute path, walked from the layers' roots, or one name, beside this one; empty if there is none. EINVAL for what
// is neither, as overlayfs has it: what lies below under the object's own name is not what was meant.
Result<std::string> read_redirect(BorrowedFd dir, const Name& name, const MarkRules& rules = {});
// E2BIG, ENOSPC or ERANGE where the file system can not store one so long.
Status set_redirect(BorrowedFd object, const std::string& to, const MarkRules& rules = {});

// Metacopy: owner, mode, times and attributes are here, the content still lies below.
Status set_metacopy(BorrowedFd object, const MarkRules& rules = {});
// With its redirect, which means nothing for a file that has its content.
Status clear_metacopy(BorrowedFd object);

// Copying: its content is being copied into a metacopy (overlay/interrupted_copy), with a note of what that changes.
struct CopyingNote {
    std::string text;
    bool privileged = false;  // nobody can have forged it who owns no more than the object
};
Result<CopyingNote> read_copying(BorrowedFd dir, const Name& name, const MarkRules& rules = {});  // ENODATA: none
Status set_copying(BorrowedFd object, std::string_view text, const MarkRules& rules = {});
Status clear_copying(BorrowedFd object);

// Protection: immutable and append-only, which the copy's own inode can not be: neither could it be published then, nor
// take what is copied up into it, nor marks. None for a value that is not overlayfs'.
Result<sys::Protection> read_protection(BorrowedFd dir, const Name& name, const MarkRules& rules = {});
// Without any: the mark is taken away.
Status set_protection(BorrowedFd object, const sys::Protection& protection, const MarkRules& rules = {});

// Attribute names as a user of the mount sees them, and as they lie on a branch: "trusted.overlay.X" of a user is
// stored as "trusted.overlay.overlay.X", so that an overlay can be stacked on us; what we store ourselves is not
// visible.
std::string stored_xattr(std::string_view seen);
// False for an attribute that is ours alone.
bool seen_xattr(std::string_view stored, std::string& seen);
bool is_private_xattr(std::string_view stored);
// One that a user can neither see nor store: fuse-overlayfs keeps its notes there and has no escape.
bool is_unreachable_xattr(std::string_view name);

}  // namespace plyfs::marks

// The marks of overlayfs: whiteouts (a name hidden) and opaque directories (everything below hidden), read and written
// in the kernel's own format, so that the kernel's overlayfs can mount what we wrote and the other way round. Also
// which extended attributes are ours and how a nested overlay's own attributes are kept apart from them.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "sys/stat.h"

namespace plyfs::marks {

inline constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";
inline constexpr const char* kOpaqueXattrUser = "user.overlay.opaque";

inline bool is_whiteout(const sys::Stat& st) {
    return sys::is_whiteout_device(st);
}
// dir: any descriptor of the directory. Errors other than "has no such mark" are passed on.
Result<bool> is_opaque(BorrowedFd dir);
Status make_opaque(BorrowedFd dir);
Status make_whiteout(BorrowedFd dir, const Name& name);

// Which marks an entry carries, found in one list of its attributes.
struct Found {
    bool opaque = false;
    bool redirect = false;
    bool metacopy = false;
};
Result<Found> find_marks(BorrowedFd dir, const Name& name);

// Redirect: where the layers below have what this object is merged with, or, of a metacopy, where its content is. An
// absolute path, walked from the layers' roots, or one name, beside this one. Empty for what is neither: a hostile
// value leads nowhere.
Result<std::string> read_redirect(BorrowedFd dir, const Name& name);
// E2BIG, ENOSPC or ERANGE where the file system can not store one so long.
Status set_redirect(BorrowedFd object, const std::string& to);

// Metacopy: owner, mode, times and attributes are here, the content still lies below.
Status set_metacopy(BorrowedFd object);
// With its redirect, which means nothing for a file that has its content.
Status clear_metacopy(BorrowedFd object);

// Attribute names as a user of the mount sees them, and as they lie on a branch: "trusted.overlay.X" of a user is
// stored as "trusted.overlay.overlay.X", so that an overlay can be stacked on us; what we store ourselves is not
// visible.
std::string stored_xattr(std::string_view seen);
// False for an attribute that is ours alone.
bool seen_xattr(std::string_view stored, std::string& seen);
bool is_private_xattr(std::string_view stored);

}  // namespace plyfs::marks

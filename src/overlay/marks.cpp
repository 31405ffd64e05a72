#include "overlay/marks.h"

#include <sys/sysmacros.h>

#include <array>
#include <cstring>

#include "sys/entry.h"
#include "sys/xattr.h"

namespace plyfs::marks {
namespace {

constexpr std::string_view kPrefixes[] = {"trusted.overlay.", "user.overlay."};
constexpr std::string_view kEscape = "overlay.";

// 'y' in the first byte, as the kernel reads it; an empty or other value is no mark.
Result<bool> has_mark(BorrowedFd dir, const char* name) {
    std::array<std::byte, 8> value;
    auto size = sys::get_xattr(dir, name, value);
    if (size) return *size == 1 && value[0] == std::byte{'y'};
    const int e = size.error().value();
    // EPERM: trusted.* without privilege, where such a mark can not have been meant for us.
    if (e == ENODATA || e == EOPNOTSUPP || e == EPERM || e == ERANGE) return false;
    return size.error();
}

}  // namespace

Result<bool> is_opaque(BorrowedFd dir) {
    if (TRY(has_mark(dir, kOpaqueXattr))) return true;
    return has_mark(dir, kOpaqueXattrUser);
}

Status make_opaque(BorrowedFd dir) {
    constexpr std::byte kYes[] = {std::byte{'y'}};
    auto done = sys::set_xattr(dir, kOpaqueXattr, kYes, 0);
    if (done || !(done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP))) return done;
    return sys::set_xattr(dir, kOpaqueXattrUser, kYes, 0);
}

Status make_whiteout(BorrowedFd dir, const Name& name) {
    return sys::make_node(dir, name, S_IFCHR, makedev(0, 0));
}

std::string stored_xattr(std::string_view seen) {
    for (auto prefix : kPrefixes) {
        if (!seen.starts_with(prefix)) continue;
        return std::string(prefix).append(kEscape).append(seen.substr(prefix.size()));
    }
    return std::string(seen);
}

bool seen_xattr(std::string_view stored, std::string& seen) {
    for (auto prefix : kPrefixes) {
        if (!stored.starts_with(prefix)) continue;
        auto rest = stored.substr(prefix.size());
        if (!rest.starts_with(kEscape)) return false;
        seen = std::string(prefix).append(rest.substr(kEscape.size()));
        return true;
    }
    seen = stored;
    return true;
}

bool is_private_xattr(std::string_view stored) {
    std::string seen;
    return !seen_xattr(stored, seen);
}

}  // namespace plyfs::marks

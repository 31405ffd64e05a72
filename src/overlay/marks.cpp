#include "overlay/marks.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <span>
#include <vector>

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

constexpr std::string_view kRedirect = "redirect";
constexpr std::string_view kMetacopy = "metacopy";

// In the namespace that we may write.
Status set_mark(BorrowedFd object, std::string_view mark, std::span<const std::byte> value) {
    Status done;
    for (auto prefix : kPrefixes) {
        done = sys::set_xattr(object, std::string(prefix).append(mark).c_str(), value, 0);
        if (done || !(done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP))) return done;
    }
    return done;
}

Status clear_mark(BorrowedFd object, std::string_view mark) {
    for (auto prefix : kPrefixes) {
        auto done = sys::remove_xattr(object, std::string(prefix).append(mark).c_str());
        const bool absent = done.failed_with(ENODATA) || done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP);
        if (!done && !absent) return done;
    }
    return {};
}

// "/a/b" without empty components or "." and "..", or one component.
bool is_valid_redirect(std::string_view text) {
    if (text.empty() || text.size() >= PATH_MAX) return false;
    if (text.front() != '/') return Name::parse(text).has_value();
    while (!text.empty()) {
        text.remove_prefix(1);
        const auto end = std::min(text.find('/'), text.size());
        if (!Name::parse(text.substr(0, end))) return false;
        text.remove_prefix(end);
    }
    return true;
}

// The names of an entry's attributes, whatever their number.
Result<std::vector<char>> names_of(BorrowedFd dir, const Name& name) {
    std::vector<char> out(256);
    for (;;) {
        auto size = sys::list_xattr_raw_at(dir, name.c_str(), out);
        if (size) {
            out.resize(*size);
            return out;
        }
        if (size.failed_with(EOPNOTSUPP)) return std::vector<char>();
        if (!size.failed_with(ERANGE)) return size.error();
        out.resize(out.size() * 4);
    }
}

}  // namespace

Result<Found> find_marks(BorrowedFd dir, const Name& name) {
    const auto list = TRY(names_of(dir, name));
    Found found;
    for (std::size_t at = 0; at < list.size();) {
        const std::string_view attribute(&list[at], strnlen(&list[at], list.size() - at));
        at += attribute.size() + 1;
        for (auto prefix : kPrefixes) {
            if (!attribute.starts_with(prefix)) continue;
            const auto mark = attribute.substr(prefix.size());
            if (mark == "opaque") found.opaque = true;
            if (mark == kRedirect) found.redirect = true;
            if (mark == kMetacopy) found.metacopy = true;
        }
    }
    return found;
}

Result<std::string> read_redirect(BorrowedFd dir, const Name& name) {
    std::array<std::byte, PATH_MAX> value;
    for (auto prefix : kPrefixes) {
        auto size = sys::get_xattr_at(dir, name.c_str(), std::string(prefix).append(kRedirect).c_str(), value);
        if (!size) {
            if (size.failed_with(ENODATA) || size.failed_with(EOPNOTSUPP) || size.failed_with(EPERM)) continue;
            if (size.failed_with(ERANGE)) return std::string();
            return size.error();
        }
        const std::string text(reinterpret_cast<const char*>(value.data()), *size);
        return is_valid_redirect(text) ? text : std::string();
    }
    return std::string();
}

Status set_redirect(BorrowedFd object, const std::string& to) {
    return set_mark(object, kRedirect, std::as_bytes(std::span(to)));
}

Status set_metacopy(BorrowedFd object) {
    return set_mark(object, kMetacopy, {});
}

Status clear_metacopy(BorrowedFd object) {
    TRY(clear_mark(object, kMetacopy));
    return clear_mark(object, kRedirect);
}

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

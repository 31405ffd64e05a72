#include "branch/ownership.h"

#include <sys/sysmacros.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <vector>

#include "base/log.h"
#include "branch/acl.h"
#include "sys/attributes.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

constexpr StatScheme kOverriding[] = {StatScheme::privileged, StatScheme::containers, StatScheme::user};
constexpr std::string_view kEscape = "user.containers.override_";
constexpr std::string_view kSecurity = "security.";
constexpr const char* kNewRoot = "0:0:0555";
constexpr mode_t kModeBits = 07777;
constexpr std::size_t kLongestValue = 128;

const char* xattr_of(StatScheme scheme) {
    switch (scheme) {
        case StatScheme::inode:
            return nullptr;
        case StatScheme::privileged:
            return "security.fuseoverlayfs.override_stat";
        case StatScheme::containers:
            return "user.containers.override_stat";
        case StatScheme::user:
            return "user.fuseoverlayfs.override_stat";
    }
    return nullptr;
}

bool can_be_overridden(const sys::Stat& inode) {
    return sys::is_regular(inode) || sys::is_dir(inode);
}

// A number up to `end`, which is taken as well; false when there is none.
template <typename T>
bool take_number(std::string_view& text, char end, int base, T& out) {
    const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(next - text.data()));
    if (text.empty()) return true;
    if (text.front() != end) return false;
    text.remove_prefix(1);
    return true;
}

// "-MAJOR-MINOR", also with colons and without the first of them; what follows is left to later versions.
bool take_device(std::string_view text, sys::Stat& st) {
    if (!text.empty() && (text.front() == '-' || text.front() == ':')) text.remove_prefix(1);
    const std::size_t middle = text.find_first_of("-:");
    if (middle == std::string_view::npos) return false;
    std::string_view major = text.substr(0, middle);
    std::string_view minor = text.substr(middle + 1);
    minor = minor.substr(0, minor.find_first_of("-:"));
    std::uint32_t numbers[2];
    if (!take_number(major, '\0', 10, numbers[0]) || !major.empty()) return false;
    if (!take_number(minor, '\0', 10, numbers[1]) || !minor.empty()) return false;
    st.stx_rdev_major = numbers[0];
    st.stx_rdev_minor = numbers[1];
    return true;
}

struct TypeWord {
    std::string_view word;
    mode_t type;
};
constexpr TypeWord kTypes[] = {{"dir", S_IFDIR},     {"file", S_IFREG},  {"symlink", S_IFLNK}, {"pipe", S_IFIFO},
                               {"socket", S_IFSOCK}, {"block", S_IFBLK}, {"char", S_IFCHR}};

// 0 for a word that is none, or for what can not be.
mode_t take_type(std::string_view text, sys::Stat& st) {
    for (const auto& [word, type] : kTypes) {
        if (!text.starts_with(word)) continue;
        const bool device = type == S_IFBLK || type == S_IFCHR;
        if (device && !take_device(text.substr(word.size()), st)) return 0;
        // A whiteout is no object, and a directory is one whatever is written on it.
        if (type == S_IFCHR && st.stx_rdev_major == 0 && st.stx_rdev_minor == 0) return 0;
        return type;
    }
    return 0;
}

std::string type_text(const sys::Stat& st) {
    for (const auto& [word, type] : kTypes) {
        if ((st.stx_mode & S_IFMT) != type) continue;
        std::string text(word);
        if (type == S_IFBLK || type == S_IFCHR) {
            text += '-' + std::to_string(st.stx_rdev_major) + '-' + std::to_string(st.stx_rdev_minor);
        }
        return text;
    }
    return "file";
}

Result<std::optional<std::string>> no_value(Errno e) {
    // EPERM: attributes of root's without privilege.
    if (e == ENODATA || e == EOPNOTSUPP || e == EPERM) return std::optional<std::string>();
    return e;
}

template <typename Get>
Result<std::optional<std::string>> read_value(Get get) {
    std::array<std::byte, kLongestValue> buffer;
    auto size = get(std::span<std::byte>(buffer));
    if (!size) return no_value(size.error());
    return std::optional<std::string>(std::string(reinterpret_cast<const char*>(buffer.data()), *size));
}

Result<std::optional<std::string>> read_value(BorrowedFd fd, const char* name) {
    return read_value([&](std::span<std::byte> buffer) { return sys::get_xattr(fd, name, buffer); });
}

bool has_xattr(BorrowedFd fd, const char* name) {
    auto value = read_value(fd, name);
    return value && value->has_value();
}

// chmod keeps an ACL in step; what is in the inode's is not what is shown.
Status set_acl_mode(BorrowedFd fd, mode_t mode) {
    auto acl = sys::get_xattr_all(fd, acl::kAccess);
    if (!acl) return acl.failed_with(ENODATA) || acl.failed_with(EOPNOTSUPP) ? Status() : Status(acl.error());
    if (!acl::set_permissions(*acl, mode)) return {};
    return sys::set_xattr(fd, acl::kAccess, *acl);
}

}  // namespace

bool apply_stored_stat(std::string_view value, sys::Stat& st) {
    const mode_t inode_type = st.stx_mode & S_IFMT;
    std::uint32_t uid = 0, gid = 0, mode = 0;
    sys::Stat found = st;
    mode_t type = inode_type;
    bool good =
        take_number(value, ':', 10, uid) && take_number(value, ':', 10, gid) && take_number(value, ':', 8, mode);
    if (good && !value.empty()) {
        type = take_type(value, found);
        good = type != 0 && S_ISDIR(type) == S_ISDIR(inode_type);
    }
    if (!good) {
        st.stx_uid = st.stx_gid = 0;
        st.stx_mode = static_cast<std::uint16_t>(inode_type);
        return false;
    }
    st = found;
    st.stx_uid = uid;
    st.stx_gid = gid;
    st.stx_mode = static_cast<std::uint16_t>(type | (mode & kModeBits));
    return true;
}

std::string format_stored_stat(const sys::Stat& st) {
    char text[48];
    std::snprintf(text, sizeof text, "%u:%u:%04o:", st.stx_uid, st.stx_gid, st.stx_mode & kModeBits);
    return text + type_text(st);
}

mode_t inode_permissions(const sys::Stat& st) {
    return sys::is_dir(st) || (sys::is_regular(st) && (st.stx_mode & 0111)) ? 0755 : 0644;
}

const char* Ownership::xattr() const {
    return xattr_of(scheme_);
}

Ownership Ownership::probe(BorrowedFd root) {
    for (StatScheme scheme : kOverriding) {
        if (has_xattr(root, xattr_of(scheme))) return Ownership(scheme);
    }
    return {};
}

Ownership Ownership::choose(BorrowedFd root, config::StatOverride wanted) {
    switch (wanted) {
        case config::StatOverride::automatic:
            return probe(root);
        case config::StatOverride::off:
            return {};
        case config::StatOverride::privileged:
            return Ownership(StatScheme::privileged);
        case config::StatOverride::user:
            break;
    }
    const bool older =
        !has_xattr(root, xattr_of(StatScheme::containers)) && has_xattr(root, xattr_of(StatScheme::user));
    return Ownership(older ? StatScheme::user : StatScheme::containers);
}

Result<sys::Stat> Ownership::overridden_at(BorrowedFd dir, const Name& name) const {
    auto st = TRY(sys::stat_at(dir, name));
    if (!can_be_overridden(st)) return st;
    const auto value = TRY(
        read_value([&](std::span<std::byte> buffer) { return sys::get_xattr_at(dir, name.c_str(), xattr(), buffer); }));
    if (value && !apply_stored_stat(*value, st))
        log::warn("{}: {} is not understood: {}", name.view(), xattr(), *value);
    return st;
}

Result<sys::Stat> Ownership::overridden_fd(BorrowedFd fd) const {
    auto st = TRY(sys::stat_fd(fd));
    if (!can_be_overridden(st)) return st;
    const auto value = TRY(read_value(fd, xattr()));
    if (value) apply_stored_stat(*value, st);
    return st;
}

Status Ownership::write(BorrowedFd fd, const sys::Stat& st) const {
    const std::string value = format_stored_stat(st);
    return sys::set_xattr(fd, xattr(), std::as_bytes(std::span<const char>(value.data(), value.size())));
}

Status Ownership::set_owner(BorrowedFd fd, std::optional<uid_t> uid, std::optional<gid_t> gid) const {
    constexpr auto kSame = static_cast<std::uint32_t>(-1);
    if (!overrides()) return sys::set_owner(fd, uid.value_or(kSame), gid.value_or(kSame));
    if (!can_be_overridden(TRY(sys::stat_fd(fd)))) {
        auto done = sys::set_owner(fd, uid.value_or(kSame), gid.value_or(kSame));
        // Without privilege it has no place to be kept.
        return done.failed_with(EPERM) || done.failed_with(EINVAL) ? Status() : done;
    }
    auto st = TRY(stat_fd(fd));
    st.stx_uid = uid.value_or(st.stx_uid);
    st.stx_gid = gid.value_or(st.stx_gid);
    if (sys::is_dir(st)) return write(fd, st);
    unsigned mode = st.stx_mode & ~static_cast<unsigned>(S_ISUID);
    if (mode & S_IXGRP) mode &= ~static_cast<unsigned>(S_ISGID);
    st.stx_mode = static_cast<std::uint16_t>(mode);
    TRY(write(fd, st));
    auto removed = sys::remove_xattr(fd, stored_xattr("security.capability")->c_str());
    return removed || removed.failed_with(ENODATA) || removed.failed_with(EOPNOTSUPP) ? Status() : removed;
}

Status Ownership::set_mode(BorrowedFd fd, mode_t mode) const {
    if (!overrides()) return sys::set_mode(fd, mode);
    if (!can_be_overridden(TRY(sys::stat_fd(fd)))) return sys::set_mode(fd, mode);
    auto st = TRY(stat_fd(fd));
    st.stx_mode = static_cast<std::uint16_t>((st.stx_mode & S_IFMT) | (mode & kModeBits));
    TRY(write(fd, st));
    return set_acl_mode(fd, mode);
}

Status Ownership::store(BorrowedFd fd, const sys::Stat& st) const {
    if (!overrides()) return {};
    if (!can_be_overridden(TRY(sys::stat_fd(fd)))) return set_owner(fd, st.stx_uid, st.stx_gid);
    TRY(write(fd, st));
    // With an ACL the inode's mode is part of it, and it is what it has to be.
    if (has_xattr(fd, acl::kAccess)) return {};
    return sys::set_mode(fd, inode_permissions(st));
}

std::optional<std::string> Ownership::stored_xattr(std::string_view seen) const {
    if (!overrides()) return std::string(seen);
    if (scheme_ != StatScheme::containers) {
        if (seen == xattr()) return std::nullopt;
        return std::string(seen);
    }
    // What would be taken for ours is escaped the same way, so that such a store can lie on the mount.
    if (seen.starts_with(kSecurity) || seen.starts_with(kEscape)) return std::string(kEscape).append(seen);
    return std::string(seen);
}

std::optional<std::string> Ownership::seen_xattr(std::string_view stored) const {
    if (!overrides()) return std::string(stored);
    if (scheme_ != StatScheme::containers) {
        if (stored == xattr()) return std::nullopt;
        return std::string(stored);
    }
    if (stored.starts_with(kSecurity)) return std::nullopt;  // the inode's own, such as a label
    if (!stored.starts_with(kEscape)) return std::string(stored);
    const auto rest = stored.substr(kEscape.size());
    if (rest.starts_with(kSecurity) || rest.starts_with(kEscape)) return std::string(rest);
    return std::nullopt;
}

Status seed_root(const Ownership& upper, BorrowedFd root, const std::optional<sys::Stat>& below) {
    if (!upper.overrides() || has_xattr(root, upper.xattr())) return {};
    const std::string value = below ? format_stored_stat(*below) : kNewRoot;
    return sys::set_xattr(root, upper.xattr(), std::as_bytes(std::span<const char>(value.data(), value.size())));
}

}  // namespace plyfs

// The value of system.posix_acl_access and system.posix_acl_default: who is named in it, and the permission bits that
// it stands for.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace plyfs::acl {

inline constexpr std::string_view kPrefix = "system.posix_acl_";
inline constexpr const char* kAccess = "system.posix_acl_access";

// XFS shows root each ACL a second time, as it is stored. Elsewhere that would be an attribute like any other, which
// nobody keeps in step with the ACL, and which took its place when the file came to an XFS again.
inline bool is_stored_form(std::string_view name) {
    return name.starts_with("trusted.SGI_ACL_");
}

using Translate = std::function<std::uint32_t(std::uint32_t)>;

// Translates the ids of named users and groups; false, and nothing is changed, for what is no ACL.
bool translate(std::span<std::byte> value, const Translate& user, const Translate& group);

// The nine permission bits that stat shows of a file with this ACL; none for what is no ACL.
std::optional<mode_t> permissions(std::span<const std::byte> value);

// chmod of a file that has this ACL; false for what is no ACL.
bool set_permissions(std::span<std::byte> value, mode_t mode);

}  // namespace plyfs::acl

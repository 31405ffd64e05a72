#include "branch/acl.h"

#include <endian.h>

#include <cstring>

namespace plyfs::acl {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeader = 4;

enum Tag : std::uint16_t { user_obj = 1, user = 2, group_obj = 4, group = 8, mask = 16, other = 32 };

struct Entry {
    std::uint16_t tag;
    std::uint16_t perm;
    std::uint32_t id;
};
constexpr std::size_t kEntry = 8;
static_assert(sizeof(Entry) == kEntry);

bool has_form(std::span<const std::byte> value) {
    if (value.size() < kHeader || (value.size() - kHeader) % kEntry != 0) return false;
    std::uint32_t version;
    std::memcpy(&version, value.data(), sizeof version);
    return le32toh(version) == kVersion;
}

// Entries are not aligned: taken out and put back.
Entry entry_at(std::span<const std::byte> value, std::size_t at) {
    Entry entry;
    std::memcpy(&entry, value.data() + at, kEntry);
    return {le16toh(entry.tag), le16toh(entry.perm), le32toh(entry.id)};
}

void put_entry(std::span<std::byte> value, std::size_t at, const Entry& entry) {
    const Entry raw{htole16(entry.tag), htole16(entry.perm), htole32(entry.id)};
    std::memcpy(value.data() + at, &raw, kEntry);
}

// Where the group's bits of the mode come from: the mask, if there is one.
bool has_mask(std::span<const std::byte> value) {
    for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
        if (entry_at(value, at).tag == mask) return true;
    }
    return false;
}

// Has a mode: each of its three classes once, and a mask where it names others, as the kernel demands of what it stores
// itself.
bool is_acl(std::span<const std::byte> value) {
    if (!has_form(value)) return false;
    int owners = 0, groups = 0, others = 0, masks = 0, named = 0;
    for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
        switch (entry_at(value, at).tag) {
            case user_obj:
                ++owners;
                break;
            case group_obj:
                ++groups;
                break;
            case other:
                ++others;
                break;
            case mask:
                ++masks;
                break;
            case user:
            case group:
                ++named;
                break;
            default:
                return false;
        }
    }
    return owners == 1 && groups == 1 && others == 1 && (masks == 1 || (masks == 0 && named == 0));
}

}  // namespace

bool translate(std::span<std::byte> value, const Translate& of_user, const Translate& of_group) {
    if (!has_form(value)) return false;
    for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
        Entry entry = entry_at(value, at);
        if (entry.tag == user) entry.id = of_user(entry.id);
        if (entry.tag == group) entry.id = of_group(entry.id);
        put_entry(value, at, entry);
    }
    return true;
}

std::optional<mode_t> permissions(std::span<const std::byte> value) {
    if (!is_acl(value)) return std::nullopt;
    const Tag group_tag = has_mask(value) ? mask : group_obj;
    mode_t mode = 0;
    for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
        const Entry entry = entry_at(value, at);
        const mode_t bits = entry.perm & 7U;
        if (entry.tag == user_obj) mode |= bits << 6;
        if (entry.tag == group_tag) mode |= bits << 3;
        if (entry.tag == other) mode |= bits;
    }
    return mode;
}

bool set_permissions(std::span<std::byte> value, mode_t mode) {
    if (!is_acl(value)) return false;
    const Tag group_tag = has_mask(value) ? mask : group_obj;
    for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
        Entry entry = entry_at(value, at);
        if (entry.tag == user_obj) entry.perm = mode >> 6 & 7U;
        if (entry.tag == group_tag) entry.perm = mode >> 3 & 7U;
        if (entry.tag == other) entry.perm = mode & 7U;
        put_entry(value, at, entry);
    }
    return true;
}

}  // namespace plyfs::acl

#include "branch/id_map.h"

#include <endian.h>
#include <linux/capability.h>

#include <cstring>

#include "branch/acl.h"

namespace plyfs {
namespace {

constexpr std::string_view kCapability = "security.capability";

bool is_within(std::uint32_t id, std::uint32_t begin, std::uint32_t count) {
    return id >= begin && id - begin < count;
}

// The uid of the root whose namespaces a capability holds in; none for what is no capability.
std::optional<std::uint32_t> capability_root(std::span<const std::byte> value) {
    std::uint32_t magic = 0;
    if (value.size() < sizeof magic) return std::nullopt;
    std::memcpy(&magic, value.data(), sizeof magic);
    const auto revision = le32toh(magic) & VFS_CAP_REVISION_MASK;
    if (revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2) return 0;
    if (revision != VFS_CAP_REVISION_3 || value.size() != XATTR_CAPS_SZ_3) return std::nullopt;
    std::uint32_t root;
    std::memcpy(&root, value.data() + XATTR_CAPS_SZ_2, sizeof root);
    return le32toh(root);
}

// Revision 2 is what belongs to uid 0, and the only one that tools without namespaces know.
std::vector<std::byte> with_root(std::vector<std::byte> value, std::uint32_t root) {
    std::uint32_t magic;
    std::memcpy(&magic, value.data(), sizeof magic);
    magic = (le32toh(magic) & ~VFS_CAP_REVISION_MASK) | (root == 0 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3);
    magic = htole32(magic);
    std::memcpy(value.data(), &magic, sizeof magic);
    value.resize(root == 0 ? XATTR_CAPS_SZ_2 : XATTR_CAPS_SZ_3);
    if (root != 0) {
        root = htole32(root);
        std::memcpy(value.data() + XATTR_CAPS_SZ_2, &root, sizeof root);
    }
    return value;
}

std::vector<std::byte> translated(std::string_view name, std::vector<std::byte> value, const acl::Translate& user,
                                  const acl::Translate& group) {
    if (name.starts_with(acl::kPrefix)) {
        acl::translate(value, user, group);
    } else if (name == kCapability) {
        const auto root = capability_root(value);
        if (!root) return value;
        const std::uint32_t other = user(*root);
        // One without a counterpart holds where it held: it is of no use to those who see the other ids.
        if (other != kOverflowId && other != *root) return with_root(std::move(value), other);
    }
    return value;
}

}  // namespace

IdMap::IdMap(const config::LayerOptions& options)
    : uids_(options.uids),
      gids_(options.gids),
      squash_uid_(options.squash_uid),
      squash_gid_(options.squash_gid),
      translates_(maps() || squashes()) {}

std::uint32_t IdMap::to_shown(const Ranges& ranges, std::uint32_t disk) {
    if (ranges.empty()) return disk;
    bool is_shown = false;
    for (const auto& range : ranges) {
        if (is_within(disk, range.disk, range.count)) return range.shown + (disk - range.disk);
        is_shown = is_shown || is_within(disk, range.shown, range.count);
    }
    // The layer is mounted with the same shift: an engine did it twice.
    return is_shown ? disk : kOverflowId;
}

std::uint32_t IdMap::to_disk(const Ranges& ranges, std::uint32_t shown) {
    for (const auto& range : ranges) {
        if (is_within(shown, range.shown, range.count)) return range.disk + (shown - range.shown);
    }
    return ranges.empty() ? shown : kOverflowId;
}

std::uint32_t IdMap::settled(const Ranges& ranges, std::uint32_t disk) {
    bool is_shown = false;
    for (const auto& range : ranges) {
        if (is_within(disk, range.disk, range.count)) return disk;
        is_shown = is_shown || is_within(disk, range.shown, range.count);
    }
    return is_shown ? to_disk(ranges, disk) : disk;
}

std::vector<gid_t> IdMap::disk_gids(std::vector<gid_t> shown) const {
    for (gid_t& gid : shown) gid = disk_gid(gid);
    return shown;
}

void IdMap::settle(sys::Stat& st) const {
    st.stx_uid = settled(uids_, st.stx_uid);
    st.stx_gid = settled(gids_, st.stx_gid);
}

bool IdMap::translates_value(std::string_view name) const {
    return maps() && (name.starts_with(acl::kPrefix) || name == kCapability);
}

std::vector<std::byte> IdMap::shown_value(std::string_view name, std::vector<std::byte> value) const {
    return translated(
        name, std::move(value), [&](std::uint32_t id) { return to_shown(uids_, id); },
        [&](std::uint32_t id) { return to_shown(gids_, id); });
}

std::vector<std::byte> IdMap::disk_value(std::string_view name, std::vector<std::byte> value) const {
    return translated(
        name, std::move(value), [&](std::uint32_t id) { return to_disk(uids_, id); },
        [&](std::uint32_t id) { return to_disk(gids_, id); });
}

std::vector<std::byte> IdMap::settled_value(std::string_view name, std::vector<std::byte> value) const {
    return translated(
        name, std::move(value), [&](std::uint32_t id) { return settled(uids_, id); },
        [&](std::uint32_t id) { return settled(gids_, id); });
}

}  // namespace plyfs

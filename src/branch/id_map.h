// IdMap: which owner users of the mount see for an id that lies on the layers, and the other way round
// (uidmapping, gidmapping, squash_to_*). One for the whole mount and pure: what the kernel is told and what it tells us
// is translated at the border, everything inside thinks in ids as they are stored.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/config.h"
#include "sys/stat.h"

namespace plyfs {

// What stands for an id that has no counterpart, as in user namespaces.
inline constexpr std::uint32_t kOverflowId = 65534;

class IdMap {
  public:
    IdMap() = default;
    explicit IdMap(const config::LayerOptions& options);

    // False: every id is what it is, and nothing below changes anything.
    bool translates() const { return translates_; }
    // Ids differ between the layers and the mount; a squashed owner alone is no translation of what is stored.
    bool maps() const { return !uids_.empty() || !gids_.empty(); }
    // An owner that is forced for all to see: a change of it that fails is none that anybody could see.
    bool squashes_uid() const { return squash_uid_.has_value(); }
    bool squashes_gid() const { return squash_gid_.has_value(); }
    bool squashes() const { return squash_uid_ || squash_gid_; }

    uid_t shown_uid(uid_t disk) const { return squash_uid_ ? *squash_uid_ : to_shown(uids_, disk); }
    gid_t shown_gid(gid_t disk) const { return squash_gid_ ? *squash_gid_ : to_shown(gids_, disk); }
    uid_t disk_uid(uid_t shown) const { return to_disk(uids_, shown); }
    gid_t disk_gid(gid_t shown) const { return to_disk(gids_, shown); }
    std::vector<gid_t> disk_gids(std::vector<gid_t> shown) const;

    void show(sys::Stat& st) const {
        if (!translates_) return;
        st.stx_uid = shown_uid(st.stx_uid);
        st.stx_gid = shown_gid(st.stx_gid);
    }
    // A layer may show ids that are shifted already (an idmapped mount): what a copy of such an object is stored with.
    void settle(sys::Stat& st) const;

    // Values of attributes with ids in them: ACLs and the file capabilities of a user namespace. Other names and values
    // that are not understood stay as they are. A capability without a namespace belongs to the root of the layers.
    std::vector<std::byte> shown_value(std::string_view name, std::vector<std::byte> value) const;
    std::vector<std::byte> disk_value(std::string_view name, std::vector<std::byte> value) const;
    std::vector<std::byte> settled_value(std::string_view name, std::vector<std::byte> value) const;
    // Whether values of that name are translated at all.
    bool translates_value(std::string_view name) const;

  private:
    using Ranges = std::vector<config::IdRange>;
    static std::uint32_t to_shown(const Ranges& ranges, std::uint32_t disk);
    static std::uint32_t to_disk(const Ranges& ranges, std::uint32_t shown);
    static std::uint32_t settled(const Ranges& ranges, std::uint32_t disk);

    Ranges uids_;
    Ranges gids_;
    std::optional<std::uint32_t> squash_uid_;
    std::optional<std::uint32_t> squash_gid_;
    bool translates_ = false;
};

}  // namespace plyfs

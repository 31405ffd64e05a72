#include "branch/own_mount.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/log.h"
#include "base/name.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

std::optional<std::uint64_t> mount_of(const std::string& path) {
    const auto dir = sys::open_root(path.empty() ? "/" : path.c_str());
    const auto st = dir ? sys::stat_fd(*dir) : dir.error();
    if (!st || (st->stx_mask & STATX_MNT_ID) == 0) return std::nullopt;
    return st->stx_mnt_id;
}

}  // namespace

OwnMount OwnMount::around(const std::string& upper, const std::string& work, sys::AccessTimes access_times) {
    OwnMount out;
    std::string place = upper == "/" ? "" : upper;
    const auto mount = mount_of(place);
    if (!mount) return out;
    while (!place.empty()) {
        std::string above = place.substr(0, place.rfind('/'));
        if (mount_of(above) != mount) break;
        place = std::move(above);
    }
    auto root = sys::open_root(place.empty() ? "/" : place.c_str());
    auto clone = root ? sys::clone_mount(*root, access_times) : root.error();
    if (!clone) {
        log::debug("the mount at {}/ is not cloned: {}", place, log::errno_text(clone.error().value()));
        return out;
    }
    out.place_ = std::move(place);
    out.clone_ = std::move(*clone);
    // Nothing is renamed from one mount to another.
    if (out.find(upper) && out.find(work)) return out;
    log::debug("{} and {} are not found in a clone of their mount", upper, work);
    return {};
}

Result<UniqueFd> OwnMount::open(const std::string& path) const {
    return clone_.valid() ? find(path) : sys::open_root(path.c_str());
}

Result<UniqueFd> OwnMount::find(const std::string& path) const {
    const auto seen = TRY(sys::open_root(path.c_str()));
    if (!path.starts_with(place_ + "/")) return Errno(EXDEV);
    UniqueFd dir = TRY(sys::duplicate(clone_));
    for (std::size_t at = place_.size() + 1; at < path.size();) {
        const auto end = std::min(path.find('/', at), path.size());
        const std::string component = path.substr(at, end - at);
        auto next = TRY(sys::open_dir_path(dir, TRY(Name::parse(component))));
        dir = std::move(next);
        at = end + 1;
    }
    if (sys::key_of(TRY(sys::stat_fd(dir))) != sys::key_of(TRY(sys::stat_fd(seen)))) return Errno(ESTALE);
    return dir;
}

}  // namespace plyfs

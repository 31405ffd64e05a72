#include "ctl/fsck_fix.h"

#include <algorithm>
#include <tuple>

#include "ctl/one_file.h"
#include "overlay/staging.h"
#include "sys/attributes.h"
#include "sys/entry.h"

namespace plyfs::ctl {
namespace {

std::tuple<std::int64_t, std::uint32_t> time_of(const statx_timestamp& time) {
    return {time.tv_sec, time.tv_nsec};
}

bool same_rights(const sys::Stat& a, const sys::Stat& b) {
    return a.stx_mode == b.stx_mode && a.stx_uid == b.stx_uid && a.stx_gid == b.stx_gid;
}

bool same_in_all_but_content(const sys::Stat& a, const sys::Stat& b) {
    return same_rights(a, b) && a.stx_size == b.stx_size && time_of(a.stx_mtime) == time_of(b.stx_mtime);
}

std::string give_rights(const Name& name, const CopyAt& kept, const CopyAt& other) {
    const auto fd = open_as_found(other.dir, name, other.st);
    if (!fd) return because("it was changed meanwhile", fd.error());
    auto done = sys::set_owner(*fd, kept.st.stx_uid, kept.st.stx_gid);
    if (done && !S_ISLNK(kept.st.stx_mode)) done = sys::set_mode(*fd, kept.st.stx_mode);
    return done ? "" : because("its owner and mode can not be changed", done.error());
}

}  // namespace

std::optional<Keep> keep_of(std::string_view word) {
    constexpr std::string_view kWords[] = {"first", "newest", "largest"};
    const auto* found = std::find(std::begin(kWords), std::end(kWords), word);
    if (found == std::end(kWords)) return std::nullopt;
    return static_cast<Keep>(found - std::begin(kWords));
}

const CopyAt& CopyFixer::choose(const std::vector<CopyAt>& copies) const {
    // A directory's time of change says when a name in it changed, and nothing of itself.
    const auto newer = [](const CopyAt& a, const CopyAt& b) {
        if (sys::is_dir(a.st)) return time_of(a.st.stx_ctime) < time_of(b.st.stx_ctime);
        return time_of(a.st.stx_mtime) < time_of(b.st.stx_mtime);
    };
    const auto larger = [](const CopyAt& a, const CopyAt& b) { return a.st.stx_size < b.st.stx_size; };
    if (keep_ == Keep::newest) return *std::max_element(copies.begin(), copies.end(), newer);
    if (keep_ == Keep::largest && !sys::is_dir(copies[0].st)) {
        return *std::max_element(copies.begin(), copies.end(), larger);
    }
    return copies.front();
}

std::string CopyFixer::replace(const Name& name, const CopyAt& kept, const CopyAt& other) {
    const auto from = open_as_found(kept.dir, name, kept.st);
    const auto old = from ? open_as_found(other.dir, name, other.st) : from.error();
    if (!old) return because("it was changed meanwhile", old.error());
    if (other.st.stx_nlink > 1) return "it has several names";
    for (std::string reason : {why_in_use(*from, sys::Opener::writer), why_in_use(*old, sys::Opener::anybody)}) {
        if (!reason.empty()) return reason;
    }
    if (same_in_all_but_content(kept.st, other.st)) {
        const auto same = same_content(*from, *old);
        if (!same) return because("it can not be compared", same.error());
        if (*same) return "";
    }
    auto work = works_.on(other.branch, other.root);
    if (!work) return because("a copy can not be prepared", work.error());
    const bool sparse = kept.st.stx_blocks * 512 < kept.st.stx_size;
    const CopySource source{.fd = *from, .st = kept.st, .data_bytes = kept.st.stx_size, .reserve = !sparse};
    auto staged = stage_copy(**work, source, {});
    auto synced = staged ? sys::sync_file(staged->fd()) : staged.error();
    if (!synced) return because("a copy can not be prepared", synced.error());
    if (!open_as_found(kept.dir, name, kept.st) || !open_as_found(other.dir, name, other.st))
        return "it was changed meanwhile";
    std::string reason = why_in_use(*old, sys::Opener::anybody);
    if (!reason.empty()) return reason;
    const auto published = staged->publish_over(other.dir, name);
    return published ? "" : because("the copy can not take its place", published.error());
}

std::string CopyFixer::make_same(const Name& name, const std::vector<CopyAt>& copies, bool content) {
    const CopyAt& kept = choose(copies);
    std::string stays;
    for (const CopyAt& other : copies) {
        if (&other == &kept) continue;
        std::string reason;
        const bool same_type = (other.st.stx_mode & S_IFMT) == (kept.st.stx_mode & S_IFMT);
        const bool other_data = sys::is_regular(kept.st) && (content || other.st.stx_size != kept.st.stx_size ||
                                                             time_of(other.st.stx_mtime) != time_of(kept.st.stx_mtime));
        if (!same_type) {
            reason = "of another type";
        } else if (other_data) {
            reason = replace(name, kept, other);
        } else if (!same_rights(other.st, kept.st)) {
            reason = give_rights(name, kept, other);
        }
        if (!reason.empty()) stays += (stays.empty() ? "" : "; ") + other.branch + ": " + reason;
    }
    return stays;
}

}  // namespace plyfs::ctl

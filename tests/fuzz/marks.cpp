// What a branch's owner may have stored there: names, and values of the attributes that we interpret.
#include <algorithm>
#include <span>

#include "base/name.h"
#include "branch/acl.h"
#include "branch/ownership.h"
#include "overlay/marks.h"
#include "overlay/move_note.h"
#include "overlay/origin_format.h"
#include "target.h"

namespace {

using namespace plyfs;
using namespace plyfs::marks;
using fuzz::claim;

void check_names(std::string_view text) {
    if (const auto name = Name::parse(std::string(text))) {
        claim(text.find('/') == text.npos && text.find('\0') == text.npos, "a name is one component");
        claim(text != "." && text != ".." && !text.empty() && text.size() <= 255, "a name leads into the directory");
    }
    if (text.find('\0') != text.npos) return;
    std::string seen;
    const std::string stored = stored_xattr(text);
    if (!stored.empty() && seen_xattr(stored, seen))
        claim(seen == text, "an attribute is seen by the name that it was given");
    claim(!is_private_xattr(stored) || is_unreachable_xattr(text) || is_private_xattr(text),
          "no escaped name is a mark of ours");
    if (is_aufs_name(text)) claim(hidden_by(text).size() < text.size(), "an AUFS mark hides a shorter name");
}

void check_origins(std::span<const std::byte> value) {
    if (const auto decoded = origin::decode(value)) {
        const auto encoded = origin::encode(*decoded);
        const auto again = origin::decode(encoded);
        claim(again && again->uuid == decoded->uuid && again->upper == decoded->upper,
              "an origin outlasts being written");
    }
    origin::index_name(value);
}

void check_link_counts(std::string_view text) {
    if (const auto count = origin::decode_link_count(text)) {
        claim(origin::decode_link_count(origin::encode(*count)) == count, "a link count outlasts being written");
    }
}

void check_notes(std::string_view text) {
    if (const auto note = MoveNote::parse(text)) {
        const auto again = MoveNote::parse(note->text());
        claim(again && *again == *note, "a note of a move outlasts being written");
    }
}

void check_owners(std::string_view text) {
    sys::Stat st{};
    st.stx_mode = S_IFREG | 0644;
    if (!apply_stored_stat(text, st)) return;
    sys::Stat again{};
    again.stx_mode = S_IFREG | 0600;
    claim(apply_stored_stat(format_stored_stat(st), again), "what we store we read");
    claim(again.stx_uid == st.stx_uid && again.stx_gid == st.stx_gid && again.stx_mode == st.stx_mode,
          "and it is the same");
}

void check_acls(std::span<const std::byte> value) {
    std::vector<std::byte> bytes(value.begin(), value.end());
    const auto mode = acl::permissions(bytes);
    const auto same = [](std::uint32_t id) { return id; };
    const bool is_acl = acl::translate(bytes, same, same);
    claim(std::equal(bytes.begin(), bytes.end(), value.begin(), value.end()), "ids that stay change nothing");
    if (mode) claim(is_acl && (*mode & ~mode_t{0777}) == 0, "an ACL's mode has permission bits only");
    if (acl::set_permissions(bytes, 0640)) claim(acl::permissions(bytes) == mode_t{0640}, "chmod of an ACL is seen");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    const auto bytes = std::as_bytes(std::span(data, size));
    check_names(text);
    check_origins(bytes);
    check_link_counts(text);
    check_owners(text);
    check_notes(text);
    check_acls(bytes);
    return 0;
}

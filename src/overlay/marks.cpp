#include "overlay/marks.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <span>
#include <vector>

#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::marks {
namespace {

constexpr std::string_view kPrefixes[] = {"trusted.overlay.", "user.overlay."};
constexpr std::string_view kEscape = "overlay.";

// Those that count: all, or user.overlay. alone.
std::span<const std::string_view> prefixes_of(bool user_alone) {
    return std::span(kPrefixes).subspan(user_alone ? 1 : 0);
}

// Those in which marks that lead elsewhere count.
std::span<const std::string_view> leading_prefixes(const MarkRules& rules) {
    const auto all = prefixes_of(rules.only_user);
    return rules.user_leads || rules.only_user ? all : all.first(1);
}

constexpr std::string_view kNotes = "user.fuseoverlayfs.";
constexpr const char* kOpaqueXattrNotes = "user.fuseoverlayfs.opaque";
constexpr const char* kWhiteoutXattr = "trusted.overlay.whiteout";
constexpr const char* kWhiteoutXattrUser = "user.overlay.whiteout";
constexpr std::byte kYes[] = {std::byte{'y'}};
constexpr std::byte kHolds[] = {std::byte{'x'}};

// EPERM: trusted.* without privilege, where such a mark can not have been meant for us.
bool is_no_mark(Errno e) {
    return e == ENODATA || e == EOPNOTSUPP || e == EPERM || e == ERANGE;
}

// The value, if it is one letter, as the kernel reads it; else 0.
Result<char> letter(BorrowedFd dir, const char* name) {
    std::array<std::byte, 8> value;
    auto size = sys::get_xattr(dir, name, value);
    if (size) return *size == 1 ? static_cast<char>(value[0]) : '\0';
    if (is_no_mark(size.error())) return '\0';
    return size.error();
}

// Most directories have no attributes at all, which is one call instead of one for each kind of mark.
Result<bool> has_attributes(BorrowedFd dir) {
    auto size = sys::list_xattr_raw(dir, {});
    if (size) return *size > 0;
    if (size.failed_with(EOPNOTSUPP)) return false;
    return size.error();
}

struct OpaqueLetters {
    char trusted = 0, user = 0, notes = 0;
    bool any(char wanted) const { return trusted == wanted || user == wanted; }
};

Result<OpaqueLetters> opaque_letters(BorrowedFd dir, const MarkRules& rules) {
    OpaqueLetters out;
    if (!TRY(has_attributes(dir))) return out;
    out.user = TRY(letter(dir, kOpaqueXattrUser));
    if (rules.only_user) return out;
    out.trusted = TRY(letter(dir, kOpaqueXattr));
    out.notes = TRY(letter(dir, kOpaqueXattrNotes));
    return out;
}

constexpr std::string_view kRedirect = "redirect";
constexpr std::string_view kMetacopy = "metacopy";
constexpr std::string_view kCopying = "copying";
constexpr std::size_t kLongestNote = 256;
constexpr std::string_view kProtection = "protattr";
constexpr std::size_t kLongestProtection = 32;  // a longer value is not overlayfs'

// In the first of the namespaces that we may write.
Status set_mark(BorrowedFd object, std::string_view mark, std::span<const std::byte> value,
                std::span<const std::string_view> prefixes) {
    Status done;
    for (auto prefix : prefixes) {
        done = sys::set_xattr(object, std::string(prefix).append(mark).c_str(), value, 0);
        if (done || !(done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP))) return done;
    }
    return done;
}

Status set_leading_mark(BorrowedFd object, std::string_view mark, std::span<const std::byte> value,
                        const MarkRules& rules) {
    return set_mark(object, mark, value, rules.user ? prefixes_of(true) : leading_prefixes(rules));
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

// The names of an entry's attributes, whatever their number; few as a rule, so without an allocation.
class AttributeNames {
  public:
    Status read(BorrowedFd dir, const Name& name) {
        std::span<char> room(few_);
        for (;;) {
            auto size = sys::list_xattr_raw_at(dir, name.c_str(), room);
            if (size) {
                list_ = room.first(*size);
                return {};
            }
            if (size.failed_with(EOPNOTSUPP)) return {};
            if (!size.failed_with(ERANGE)) return size.error();
            many_.resize(room.size() * 4);
            room = many_;
        }
    }
    // The next one; empty at the end.
    std::string_view next() {
        const std::string_view attribute(list_.data(), strnlen(list_.data(), list_.size()));
        list_ = list_.subspan(std::min(attribute.size() + 1, list_.size()));
        return attribute;
    }

  private:
    std::array<char, 256> few_;
    std::vector<char> many_;
    std::span<char> list_;
};

Result<bool> has_xattr_at(BorrowedFd dir, const Name& name, const char* attribute) {
    auto size = sys::get_xattr_at(dir, name.c_str(), attribute, {});
    if (size) return true;
    if (is_no_mark(size.error()) || size.failed_with(ENOENT)) return false;
    return size.error();
}

Status make_empty_file(BorrowedFd dir, const Name& name) {
    auto made = sys::open_file(dir, name, O_CREAT | O_EXCL | O_RDONLY, 0600);
    if (made) return {};
    if (!made.failed_with(EEXIST)) return made.error();
    const auto st = TRY(sys::stat_at(dir, name));
    return may_be_mark_file(st) ? Status{} : Status(Errno(EEXIST));
}

}  // namespace

Result<bool> has_whiteout_xattr(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    if (TRY(has_xattr_at(dir, name, kWhiteoutXattrUser))) return true;
    return rules.only_user ? Result<bool>(false) : has_xattr_at(dir, name, kWhiteoutXattr);
}

bool is_aufs_mark(std::string_view name, const sys::Stat& st) {
    if (!is_aufs_name(name)) return false;
    if (may_be_mark_file(st)) return true;
    return sys::is_dir(st) && (name == ".wh..wh.plnk" || name == ".wh..wh.orph");
}

std::string_view hidden_by(std::string_view name) {
    if (!is_aufs_name(name)) return {};
    name.remove_prefix(kAufsPrefix.size());
    return is_aufs_name(name) ? std::string_view() : name;
}

Result<bool> is_opaque(BorrowedFd dir, const MarkRules& rules) {
    const auto letters = TRY(opaque_letters(dir, rules));
    if (letters.any('y') || letters.notes == 'y') return true;
    return rules.aufs ? has_aufs_opaque(dir) : Result<bool>(false);
}

Result<bool> is_opaque(BorrowedFd dir, const MarkRules& rules, const Found& found) {
    if (found.opaque) return is_opaque(dir, rules);
    return rules.aufs ? has_aufs_opaque(dir) : Result<bool>(false);
}

Result<bool> has_aufs_opaque(BorrowedFd dir) {
    auto file = sys::stat_at(dir, *Name::parse(kAufsOpaque));
    if (file) return may_be_mark_file(*file);
    if (file.failed_with(ENOENT) || file.failed_with(ENOTDIR) || file.failed_with(ESTALE)) return false;
    return file.error();
}

Result<bool> holds_xattr_whiteouts(BorrowedFd dir, const MarkRules& rules) {
    const auto letters = TRY(opaque_letters(dir, rules));
    // Once opaque it may still hold those of before.
    return letters.any('x') || letters.any('y');
}

Status make_opaque(BorrowedFd dir, const MarkRules& rules) {
    if (rules.whiteout == MarkRules::Whiteout::file) return make_empty_file(dir, *Name::parse(kAufsOpaque));
    return set_mark(dir, "opaque", kYes, prefixes_of(rules.user));
}

Status allow_xattr_whiteouts(BorrowedFd dir, const MarkRules& rules) {
    const auto letters = TRY(opaque_letters(dir, rules));
    if (letters.any('x') || letters.any('y')) return {};
    return set_mark(dir, "opaque", kHolds, prefixes_of(rules.user));
}

Status make_whiteout(BorrowedFd dir, const Name& name) {
    return sys::make_node(dir, name, S_IFCHR, makedev(0, 0));
}

Status make_aufs_whiteout(BorrowedFd dir, const Name& name) {
    const AufsName file(name);
    return make_empty_file(dir, TRY(file.name()));
}

Status make_xattr_whiteout(BorrowedFd file, const MarkRules& rules) {
    return set_mark(file, "whiteout", kYes, prefixes_of(rules.user));
}

Result<bool> remove_aufs_whiteout(BorrowedFd dir, const Name& name) {
    const AufsName file(name);
    auto file_name = file.name();
    if (!file_name || is_aufs_name(name.view())) return false;
    auto st = sys::stat_at(dir, *file_name);
    if (st.failed_with(ENOENT)) return false;
    if (!st) return st.error();
    if (!may_be_mark_file(*st)) return false;
    auto gone = sys::unlink_file(dir, *file_name);
    if (!gone && !gone.failed_with(ENOENT)) return gone.error();
    return true;
}

Result<bool> is_any_mark(BorrowedFd dir, const Name& name) {
    const auto st = TRY(sys::stat_at(dir, name));
    if (is_whiteout(st) || is_aufs_mark(name.view(), st)) return true;
    return may_be_mark_file(st) ? has_whiteout_xattr(dir, name, {}) : Result<bool>(false);
}

Result<Found> find_marks(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    AttributeNames names;
    TRY(names.read(dir, name));
    Found found;
    for (auto attribute = names.next(); !attribute.empty(); attribute = names.next()) {
        if (!rules.only_user && attribute == kOpaqueXattrNotes) found.opaque = true;
        for (auto prefix : prefixes_of(rules.only_user)) {
            if (attribute.starts_with(prefix) && attribute.substr(prefix.size()) == "opaque") found.opaque = true;
        }
        for (auto prefix : leading_prefixes(rules)) {
            if (!attribute.starts_with(prefix)) continue;
            const auto mark = attribute.substr(prefix.size());
            if (mark == kRedirect) found.redirect = true;
            if (mark == kMetacopy) found.metacopy = true;
            if (mark == kCopying) found.copying = true;
            if (mark == kProtection) found.protection = true;
        }
    }
    return found;
}

Result<std::string> read_redirect(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    std::array<std::byte, PATH_MAX> value;
    for (auto prefix : leading_prefixes(rules)) {
        auto size = sys::get_xattr_at(dir, name.c_str(), std::string(prefix).append(kRedirect).c_str(), value);
        if (!size) {
            if (size.failed_with(ENODATA) || size.failed_with(EOPNOTSUPP) || size.failed_with(EPERM)) continue;
            return size.failed_with(ERANGE) ? Errno(EINVAL) : size.error();
        }
        std::string text(reinterpret_cast<const char*>(value.data()), *size);
        if (!is_valid_redirect(text)) return Errno(EINVAL);
        return text;
    }
    return std::string();
}

Status set_redirect(BorrowedFd object, const std::string& to, const MarkRules& rules) {
    return set_leading_mark(object, kRedirect, std::as_bytes(std::span(to)), rules);
}

Status set_metacopy(BorrowedFd object, const MarkRules& rules) {
    return set_leading_mark(object, kMetacopy, {}, rules);
}

Status clear_metacopy(BorrowedFd object) {
    TRY(clear_mark(object, kMetacopy));
    return clear_mark(object, kRedirect);
}

Result<CopyingNote> read_copying(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    std::array<std::byte, kLongestNote> value;
    for (auto prefix : leading_prefixes(rules)) {
        auto size = sys::get_xattr_at(dir, name.c_str(), std::string(prefix).append(kCopying).c_str(), value);
        if (!size && !is_no_mark(size.error())) return size.error();
        if (!size) continue;
        return CopyingNote{std::string(reinterpret_cast<const char*>(value.data()), *size), prefix == kPrefixes[0]};
    }
    return Errno(ENODATA);
}

Status set_copying(BorrowedFd object, std::string_view text, const MarkRules& rules) {
    return set_leading_mark(object, kCopying, std::as_bytes(std::span(text)), rules);
}

Status clear_copying(BorrowedFd object) {
    return clear_mark(object, kCopying);
}

Result<sys::Protection> read_protection(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    std::array<std::byte, kLongestProtection> value;
    for (auto prefix : leading_prefixes(rules)) {
        auto size = sys::get_xattr_at(dir, name.c_str(), std::string(prefix).append(kProtection).c_str(), value);
        if (!size && !is_no_mark(size.error())) return size.error();
        if (!size) continue;
        sys::Protection found;
        for (std::byte letter : std::span(value).first(*size)) {
            if (letter == std::byte{'i'}) {
                found.immutable = true;
            } else if (letter == std::byte{'a'}) {
                found.append_only = true;
            } else {
                return sys::Protection{};
            }
        }
        return found;
    }
    return sys::Protection{};
}

Status set_protection(BorrowedFd object, const sys::Protection& protection, const MarkRules& rules) {
    if (!protection.any()) return clear_mark(object, kProtection);
    const std::string letters = std::string(protection.append_only ? "a" : "").append(protection.immutable ? "i" : "");
    return set_leading_mark(object, kProtection, std::as_bytes(std::span(letters)), rules);
}

std::string stored_xattr(std::string_view seen) {
    for (auto prefix : kPrefixes) {
        if (!seen.starts_with(prefix)) continue;
        return std::string(prefix).append(kEscape).append(seen.substr(prefix.size()));
    }
    return std::string(seen);
}

bool seen_xattr(std::string_view stored, std::string& seen) {
    if (is_unreachable_xattr(stored)) return false;
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

bool is_unreachable_xattr(std::string_view name) {
    return name.starts_with(kNotes);
}

}  // namespace plyfs::marks

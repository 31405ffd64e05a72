#include "overlay/move_note.h"

#include <array>
#include <charconv>

namespace plyfs {
namespace {

// A name can hold any byte but this one.
constexpr char kEnd = '\0';
constexpr std::string_view kFirst = "plyfs move 1";
constexpr std::string_view kLast = "end";

constexpr std::array kNumbers{&Sighting::inode, &Sighting::birth,    &Sighting::links,
                              &Sighting::size,  &Sighting::modified, &Sighting::changed};

// Only compared, so it may wrap.
std::uint64_t nanoseconds(const statx_timestamp& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class Fields {
  public:
    explicit Fields(std::string_view text) : rest_(text) {}
    bool is_over() const { return rest_.empty(); }
    Result<std::string_view> next() {
        const auto end = rest_.find(kEnd);
        if (end == rest_.npos) return Errno(EINVAL);
        const auto field = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return field;
    }
    Result<std::uint64_t> number() {
        const auto field = TRY(next());
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
        if (error != std::errc() || end != field.data() + field.size()) return Errno(EINVAL);
        return value;
    }
    Result<Sighting> sighting() {
        Sighting seen;
        for (const auto member : kNumbers) seen.*member = TRY(number());
        return seen;
    }

  private:
    std::string_view rest_;
};

void add(std::string& text, std::string_view field) {
    text.append(field).push_back(kEnd);
}

void add(std::string& text, const Sighting& seen) {
    for (const auto member : kNumbers) add(text, std::to_string(seen.*member));
}

}  // namespace

Sighting Sighting::of(const sys::Stat& st) {
    const auto key = sys::key_of(st);
    return {.inode = key.ino,
            .birth = key.birth,
            .links = st.stx_nlink,
            .size = st.stx_size,
            .modified = nanoseconds(st.stx_mtime),
            .changed = nanoseconds(st.stx_ctime)};
}

bool Sighting::is(const sys::Stat& st) const {
    const Sighting now = of(st);
    return now.inode == inode && now.birth == birth;
}

bool Sighting::is_as_it_was(const sys::Stat& st) const {
    const Sighting now = of(st);
    return is(st) && now.size == size && now.modified == modified && (now.links != links || now.changed == changed);
}

std::string MoveNote::text() const {
    std::string text;
    add(text, kFirst);
    add(text, from);
    add(text, from_root);
    add(text, original);
    add(text, copy);
    for (const auto& path : paths) add(text, "/" + path);
    add(text, kLast);
    return text;
}

Result<MoveNote> MoveNote::parse(std::string_view text) {
    Fields fields(text);
    if (TRY(fields.next()) != kFirst) return Errno(EINVAL);
    MoveNote note;
    note.from = TRY(fields.next());
    note.from_root = TRY(fields.sighting());
    note.original = TRY(fields.sighting());
    note.copy = TRY(fields.sighting());
    for (;;) {
        const auto field = TRY(fields.next());
        if (field == kLast && fields.is_over()) return note;
        if (!field.starts_with('/')) return Errno(EINVAL);
        note.paths.emplace_back(field.substr(1));
    }
}

}  // namespace plyfs

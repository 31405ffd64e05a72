#include "overlay/interrupted_copy.h"

#include <unistd.h>

#include <fmt/format.h>

#include <cinttypes>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "base/mutex.h"
#include "overlay/marks.h"
#include "sys/attributes.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

constexpr const char* kCapability = "security.capability";

// Between a note that is read and what is done by it nobody writes another one.
Mutex notes;

// Tells this daemon's notes, whose copies are under way, from those of one that has ended.
std::uint64_t own_mark() {
    static const std::uint64_t mark = [] {
        std::uint64_t random = 0;
        if (::getentropy(&random, sizeof random) != 0) random = static_cast<std::uint64_t>(::getpid());
        return random;
    }();
    return mark;
}

std::string hex(const std::vector<std::byte>& bytes) {
    std::string out;
    for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
    return out;
}

std::optional<std::vector<std::byte>> read_hex(std::string_view text) {
    if (text.empty() || text.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> out;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        unsigned byte = 0;
        if (std::sscanf(std::string(text.substr(i, 2)).c_str(), "%2x", &byte) != 1) return std::nullopt;
        out.push_back(static_cast<std::byte>(byte));
    }
    return out;
}

// "MARK ATIME.NS MTIME.NS CAPABILITY", the first and the last in hexadecimal digits.
std::string note_text(const BeforeCopy& before) {
    return fmt::format("{:x} {}.{} {}.{} {}", own_mark(), before.atime.tv_sec, before.atime.tv_nsec,
                       before.mtime.tv_sec, before.mtime.tv_nsec, before.capability ? hex(*before.capability) : "");
}

struct Note {
    std::uint64_t mark = 0;
    BeforeCopy before;
};

std::optional<Note> parse_note(const std::string& text) {
    Note note;
    std::int64_t atime = 0, mtime = 0;
    long atime_ns = 0, mtime_ns = 0;
    int rest = 0;
    const int fields = std::sscanf(text.c_str(), "%" SCNx64 " %" SCNd64 ".%ld %" SCNd64 ".%ld %n", &note.mark, &atime,
                                   &atime_ns, &mtime, &mtime_ns, &rest);
    const auto is_part = [](long ns) { return ns >= 0 && ns < 1'000'000'000; };
    if (fields != 5 || rest == 0 || !is_part(atime_ns) || !is_part(mtime_ns)) return std::nullopt;
    note.before.atime = {atime, atime_ns};
    note.before.mtime = {mtime, mtime_ns};
    note.before.capability = read_hex(std::string_view(text).substr(static_cast<std::size_t>(rest)));
    return note;
}

}  // namespace

Status put_back(BorrowedFd object, const BeforeCopy& before) {
    if (before.capability) TRY(sys::set_xattr(object, kCapability, *before.capability));
    return sys::set_times(object, before.atime, before.mtime);
}

void note_before_copy(BorrowedFd object, const BeforeCopy& before, const MarkRules& rules) {
    MutexLock lock(notes);
    const auto noted = marks::set_copying(object, note_text(before), rules);
    if (!noted) log::debug("a metacopy is copied without a note: {}", log::errno_text(noted.error().value()));
}

Status forget_before_copy(BorrowedFd object) {
    MutexLock lock(notes);
    return marks::clear_copying(object);
}

bool undo_interrupted_copy(BorrowedFd dir, const Name& name, const MarkRules& rules) {
    MutexLock lock(notes);
    const auto read = marks::read_copying(dir, name, rules);
    auto note = read ? parse_note(read->text) : std::nullopt;
    if (!note || note->mark == own_mark()) return false;
    const auto object = sys::open_path(dir, name);
    if (!object) return false;
    if (!read->privileged) note->before.capability.reset();
    auto done = put_back(*object, note->before);
    if (done) done = marks::clear_copying(*object);
    if (!done) {
        log::warn("{}: a copy that was interrupted makes it look changed: {}", name.view(),
                  log::errno_text(done.error().value()));
    }
    return true;
}

}  // namespace plyfs

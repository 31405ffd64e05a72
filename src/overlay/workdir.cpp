#include "overlay/workdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <span>
#include <vector>

#include "base/insist.h"
#include "base/log.h"
#include "overlay/marks.h"
#include "sys/dirent.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/lock.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

enum class Remove { everything, marks };

// Deep enough for anything a staged object can hold: copies are of one object, and a directory taken away holds
// marks. Deeper trees are a user's own files in a wrong workdir, and are left alone.
constexpr int kMaxDepth = 16;

// Above what any mount counts to: such a name is not one of ours.
constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 62;
constexpr std::size_t kMaxNote = std::size_t{16} << 20;

// Of a Temp; 0: none.
std::uint64_t number_in(std::string_view name) {
    std::uint64_t number = 0;
    std::from_chars(name.data() + 1, name.data() + name.size(), number, 16);
    return number;
}

Status remove_tree(BorrowedFd parent, const Name& name, Remove what, int depth = kMaxDepth) {
    if (depth == 0) return Errno(ELOOP);
    auto dir = sys::open_dir_path(parent, name);
    if (dir.failed_with(ENOENT)) return {};
    if (!dir) {
        if (what == Remove::marks && depth != kMaxDepth && !TRY(marks::is_any_mark(parent, name))) {
            return Errno(ENOTEMPTY);
        }
        return sys::unlink_file(parent, name);
    }
    sys::DirReader reader(TRY(sys::open_dir_for_reading(*dir)));
    std::vector<std::string> names;  // collected first: removing while reading may skip entries
    sys::DirEntry entry;
    while (TRY(reader.next(entry))) {
        if (!entry.is_dot()) names.emplace_back(entry.name);
    }
    for (const auto& child : names) TRY(remove_tree(*dir, TRY(Name::parse(child)), what, depth - 1));
    return sys::remove_dir(parent, name);
}

}  // namespace

WorkDir::Temp::Temp(char kind, std::uint64_t number) {
    char text[24];
    std::snprintf(text, sizeof text, "%c%" PRIx64, kind, number);
    text_ = text;
}

Result<std::unique_ptr<WorkDir>> WorkDir::open(BorrowedFd parent, const Name& name) {
    // Mode 0 as overlayfs makes it: nothing staged can be reached by users of the branch.
    auto made = sys::make_dir(parent, name, 0);
    if (!made && !made.failed_with(EEXIST)) return made.error();
    auto fd = TRY(sys::open_dir_path(parent, name));  // not inside the new: TRY would leave with its memory
    std::unique_ptr<WorkDir> work(new WorkDir(std::move(fd)));
    work->lock_ = TRY(sys::open_dir_for_reading(work->fd_));
    TRY(sys::lock_alone(work->lock_));
    // Whoever had it removed it before he let go of the lock.
    if (TRY(sys::stat_fd(work->lock_)).stx_nlink == 0) return Errno(EBUSY);
    work->sweep();
    work->first_ = work->counter_;
    work->orders_content_ = sys::orders_content(work->fd_);
    work->inherited_ = sys::find_inherited(work->lock_);
    return work;
}

Status WorkDir::settle_content(BorrowedFd file) const {
    return orders_content_ ? sys::write_out(file) : sys::sync_file(file);
}

void WorkDir::sweep() {
    auto fd = sys::open_dir_for_reading(fd_);
    if (!fd) return;
    sys::DirReader reader(std::move(*fd));
    std::vector<std::string> names;
    sys::DirEntry entry;
    for (;;) {
        auto more = reader.next(entry);
        if (!more || !*more) break;
        // Nothing else is ours.
        if (entry.name[0] == kStaged || entry.name[0] == kTaken) names.emplace_back(entry.name);
        // One that stays must not be met again under a new temporary name.
        const std::uint64_t number = number_in(entry.name);
        if (number >= counter_ && number < kMaxNumber) counter_ = number + 1;
    }
    for (const auto& text : names) {
        auto name = Name::parse(text);
        if (!name) continue;
        const auto what = text[0] == kTaken ? Remove::marks : Remove::everything;
        if (auto done = remove_tree(fd_, *name, what); !done) {
            log::warn("work directory: leftover {} stays: {}", text, log::errno_text(done.error().value()));
        }
    }
    if (!names.empty()) log::info("work directory: swept {} leftovers of an earlier mount", names.size());
}

Result<WorkDir::Temp> WorkDir::keep_note(std::string_view text) {
    const Temp note(kNote, counter_.fetch_add(1, std::memory_order_relaxed));
    const auto file = TRY(sys::open_file(fd_, note.name(), O_CREAT | O_EXCL | O_WRONLY, 0600));
    const auto written = sys::write_at(file, std::as_bytes(std::span(text)), 0);
    auto kept = written ? Status() : Status(written.error());
    if (kept && *written != text.size()) kept = Errno(ENOSPC);
    if (kept) kept = settle_content(file);
    if (kept && !orders_content_) kept = sys::sync_file(lock_);
    if (kept) return note;
    discard(note);
    return kept.error();
}

Status WorkDir::drop_note(const Name& note) const {
    return sys::unlink_file(fd_, note);
}

Result<std::vector<std::string>> WorkDir::earlier_notes() const {
    std::vector<std::string> notes;
    sys::DirReader reader(TRY(sys::open_dir_for_reading(fd_)));
    sys::DirEntry entry;
    while (TRY(reader.next(entry))) {
        if (entry.name[0] == kNote && number_in(entry.name) < first_) notes.emplace_back(entry.name);
    }
    std::sort(notes.begin(), notes.end(), [](const auto& a, const auto& b) { return number_in(a) < number_in(b); });
    return notes;
}

Result<std::string> WorkDir::read_note(const Name& note) const {
    const auto file = TRY(sys::open_file(fd_, note, O_RDONLY));
    const auto st = TRY(sys::stat_fd(file)), here = TRY(sys::stat_fd(fd_));
    // Whoever owns the branch can not put a file into a directory of ours.
    if (!sys::is_regular(st) || st.stx_uid != ::geteuid() || here.stx_uid != ::geteuid()) return Errno(EPERM);
    if (st.stx_size > kMaxNote) return Errno(EFBIG);
    std::string text(st.stx_size, '\0');
    text.resize(TRY(sys::read_at(file, std::as_writable_bytes(std::span(text)), 0)));
    return text;
}

void WorkDir::discard(const Temp& temp) {
    if (auto done = remove_tree(fd_, temp.name(), Remove::everything); !done) {
        log::warn("work directory: {} can not be removed: {}", temp.name().view(),
                  log::errno_text(done.error().value()));
    }
}

// One that takes the place of a name: a device, or an empty file in a directory that is marked for it.
Status WorkDir::stage_whiteout(BorrowedFd for_dir, const Temp& temp) {
    if (marks_.whiteout != MarkRules::Whiteout::xattr) return marks::make_whiteout(fd_, temp.name());
    TRY(marks::allow_xattr_whiteouts(for_dir, marks_));
    const auto file = TRY(sys::open_file(fd_, temp.name(), O_CREAT | O_EXCL | O_RDWR, 0600));
    auto marked = marks::make_xattr_whiteout(file, marks_);
    if (!marked) discard(temp);
    return marked;
}

Status WorkDir::put_whiteout(BorrowedFd dir, const Name& name) {
    if (marks_.whiteout == MarkRules::Whiteout::file) return marks::make_aufs_whiteout(dir, name);
    if (marks_.whiteout == MarkRules::Whiteout::device) return marks::make_whiteout(dir, name);
    const Temp temp = next();
    TRY(stage_whiteout(dir, temp));
    auto moved = sys::rename_entry(fd_, temp.name(), dir, name, RENAME_NOREPLACE);
    if (!moved) discard(temp);
    return moved;
}

Status WorkDir::renew_whiteout(BorrowedFd dir, const Name& name) {
    if (marks_.whiteout == MarkRules::Whiteout::file) {
        TRY(marks::make_aufs_whiteout(dir, name));
        return sys::unlink_file(dir, name);
    }
    const Temp temp = next();
    TRY(stage_whiteout(dir, temp));
    auto moved = sys::rename_entry(fd_, temp.name(), dir, name);
    if (!moved) discard(temp);
    return moved;
}

// To a name in here. Whatever the form, there is no moment at which what lies below the name would be seen.
Status WorkDir::move_leaving_whiteout(BorrowedFd dir, const Name& name, const Temp& temp) {
    if (marks_.whiteout == MarkRules::Whiteout::file) {
        TRY(marks::make_aufs_whiteout(dir, name));
        auto moved = sys::rename_entry(dir, name, fd_, temp.name());
        if (!moved && !marks::remove_aufs_whiteout(dir, name)) log::warn("a whiteout of {} stays", name.view());
        return moved;
    }
    if (marks_.whiteout == MarkRules::Whiteout::device) {
        auto moved = sys::rename_entry(dir, name, fd_, temp.name(), RENAME_WHITEOUT);
        if (!moved.failed_with(EINVAL)) return moved;
    }
    // Exchanged with a whiteout of our own, which is one rename as well.
    TRY(stage_whiteout(dir, temp));
    auto moved = sys::rename_entry(fd_, temp.name(), dir, name, RENAME_EXCHANGE);
    if (!moved) discard(temp);  // the whiteout that was not needed
    return moved;
}

Status WorkDir::take_away(BorrowedFd dir, const Name& name, bool leave_whiteout) {
    const Temp temp(kTaken, counter_.fetch_add(1, std::memory_order_relaxed));
    TRY(leave_whiteout ? move_leaving_whiteout(dir, name, temp) : sys::rename_entry(dir, name, fd_, temp.name()));
    // As long as it stays a file with other names shows one too many.
    auto gone = insist([&] { return remove_tree(fd_, temp.name(), Remove::marks); });
    if (!gone) {
        log::warn("work directory: what was removed stays as {}: {}", temp.name().view(),
                  log::errno_text(gone.error().value()));
    }
    return {};
}

int lock_holder(BorrowedFd dir) {
    auto st = sys::stat_fd(dir);
    if (!st) return 0;
    char wanted[64];
    std::snprintf(wanted, sizeof wanted, "%02x:%02x:%" PRIu64, st->stx_dev_major, st->stx_dev_minor,
                  static_cast<std::uint64_t>(st->stx_ino));
    std::FILE* locks = std::fopen("/proc/locks", "re");
    if (!locks) return 0;
    char line[256];
    int holder = 0;
    while (!holder && std::fgets(line, sizeof line, locks)) {
        char kind[16], how[16], mode[16], id[64];
        int pid = 0;
        if (std::sscanf(line, "%*d: %15s %15s %15s %d %63s", kind, how, mode, &pid, id) != 5) continue;
        if (std::string_view(kind) == "FLOCK" && std::string_view(id) == wanted) holder = pid;
    }
    std::fclose(locks);
    return holder;
}

}  // namespace plyfs

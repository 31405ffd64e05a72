#include "sys/fs_events.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "sys/open.h"

namespace plyfs::sys {
namespace {

constexpr unsigned kReport = FAN_REPORT_DFID_NAME | FAN_REPORT_FID | FAN_REPORT_TARGET_FID;
constexpr std::uint64_t kNames = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
// FAN_MODIFY would cost every write on the file system, ours and everybody's.
constexpr std::uint64_t kObjects = FAN_ATTRIB | FAN_CLOSE_WRITE;

// Of where an event happened: the file system and the head of a handle, whose bytes follow, and the name after them.
constexpr std::size_t kRecordSize = offsetof(fanotify_event_info_fid, handle) + sizeof(struct file_handle);

template <typename T>
T read_as(std::span<const std::byte> from, std::size_t at) {
    T out;
    std::memcpy(&out, from.data() + at, sizeof out);
    return out;
}

}  // namespace

Result<FsEvents> FsEvents::open() {
    UniqueFd fd(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | kReport, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    UniqueFd waker(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!waker.valid()) return Errno::last();
    return FsEvents(std::move(fd), std::move(waker));
}

Status FsEvents::watch(BorrowedFd dir) {
    const int rc = ::fanotify_mark(fd_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kNames | kObjects | FAN_ONDIR,
                                   AT_FDCWD, ProcPath(dir).c_str());
    if (rc != 0) return Errno::last();
    return {};
}

void FsEvents::read_places(std::span<const std::byte> records, Event& out) const {
    while (records.size() >= kRecordSize) {
        const auto head = read_as<fanotify_event_info_header>(records, 0);
        if (head.len < kRecordSize || head.len > records.size()) return;
        const auto record = records.first(head.len);
        records = records.subspan(head.len);
        const auto bytes = read_as<std::uint32_t>(record, offsetof(fanotify_event_info_fid, handle));
        if (bytes > head.len - kRecordSize) return;
        out.fs = read_as<std::uint64_t>(record, offsetof(fanotify_event_info_fid, fsid));
        const Handle handle{read_as<std::int32_t>(record, offsetof(fanotify_event_info_fid, handle) + 4),
                            record.subspan(kRecordSize, bytes)};
        if (head.info_type == FAN_EVENT_INFO_TYPE_FID) {
            out.object = handle;
        } else if (head.info_type == FAN_EVENT_INFO_TYPE_DFID || head.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
            out.dir = handle;
            const auto* name = reinterpret_cast<const char*>(record.data() + kRecordSize + bytes);
            out.name = {name, ::strnlen(name, head.len - kRecordSize - bytes)};
        }
    }
    // What happened to a directory itself is told by its own handle, and "." as the name.
    if (out.name == "." || out.name.empty()) {
        if (!out.object.valid()) out.object = out.dir;
        out.dir = {};
        out.name = {};
    }
}

Result<bool> FsEvents::next(Event& out) {
    const auto left = TRY(buffer_.left(fd_));
    if (left.empty()) return false;
    if (left.size() < sizeof(fanotify_event_metadata)) return Errno(EIO);
    const auto event = read_as<fanotify_event_metadata>(left, 0);
    if (event.vers != FANOTIFY_METADATA_VERSION || event.event_len < event.metadata_len ||
        event.event_len > left.size()) {
        return Errno(EIO);
    }
    buffer_.take(event.event_len);
    out = {};
    out.lost = (event.mask & FAN_Q_OVERFLOW) != 0;
    out.name_changed = (event.mask & kNames) != 0;
    out.name_gone = (event.mask & (FAN_DELETE | FAN_MOVED_FROM)) != 0;
    out.object_changed = (event.mask & kObjects) != 0;
    out.only_written = (event.mask & kObjects) == FAN_CLOSE_WRITE;
    out.directory = (event.mask & FAN_ONDIR) != 0;
    out.pid = event.pid;
    read_places(left.subspan(event.metadata_len, event.event_len - event.metadata_len), out);
    return true;
}

FsEvents::Woken FsEvents::wait(std::chrono::milliseconds most, bool events) {
    struct pollfd fds[2] = {{waker_.get(), POLLIN, 0}, {fd_.get(), POLLIN, 0}};
    // EINTR is as good as the time being over.
    if (::poll(fds, events ? 2 : 1, static_cast<int>(most.count())) <= 0) return Woken::by_time;
    return fds[0].revents != 0 ? Woken::by_wake : Woken::by_event;
}

void FsEvents::wake() {
    const std::uint64_t one = 1;
    // It can not fail but by being full, and then it is readable.
    static_cast<void>(::write(waker_.get(), &one, sizeof one) == sizeof one);
}

}  // namespace plyfs::sys

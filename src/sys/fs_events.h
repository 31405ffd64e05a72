// FsEvents: what happens to names and attributes on whole file systems, as fanotify(7) tells it: whoever did it, by
// whatever path, also outside the directory that somebody is interested in. Of what other machines do it knows nothing.
// Needs CAP_SYS_ADMIN in the initial user namespace. For one thread at a time, but for wake().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "sys/event_buffer.h"
#include "sys/handle.h"

namespace plyfs::sys {

class FsEvents {
  public:
    // A file handle in the buffer of events.
    struct Handle {
        int type = 0;
        std::span<const std::byte> bytes;
        bool valid() const { return !bytes.empty(); }
        FileHandle copy() const { return {type, {bytes.begin(), bytes.end()}}; }
    };
    // Views are valid until the next call.
    struct Event {
        bool lost = false;            // there were too many, of any of the file systems; nothing else is told
        bool name_changed = false;    // `name` was made or removed in `dir`, or leads elsewhere
        bool name_gone = false;       // it led to `object` before
        bool object_changed = false;  // an attribute of `object`, or its content: who had it open for writing closed it
        bool only_written = false;    // of both only the latter
        bool directory = false;       // that object is one
        pid_t pid = 0;                // of the process that did it; 0: one that can not be seen from here
        std::uint64_t fs = 0;         // as sys::fs_id has it
        Handle dir;
        std::string_view name;
        Handle object;  // may be none
    };

    // EPERM without the privilege, EINVAL where the kernel is older than 5.17, EMFILE at the user's limit.
    static Result<FsEvents> open();
    // The file system on which a directory lies (O_PATH does), if it can tell at all: ENODEV and EXDEV where its id is
    // none or not that of the whole (some of Btrfs' subvolumes), EOPNOTSUPP without file handles. Watching one again
    // changes nothing. Keeps nothing busy: the watch goes with the file system.
    Status watch(BorrowedFd dir);
    // False: nothing is left for now.
    Result<bool> next(Event& out);

    enum class Woken { by_event, by_time, by_wake };
    // Until there are events, the time is over or wake() was called. pause() does not mind events.
    Woken wait(std::chrono::milliseconds most) { return wait(most, true); }
    Woken pause(std::chrono::milliseconds time) { return wait(time, false); }
    // For all time. From any thread.
    void wake();

  private:
    static constexpr std::size_t kBuffer = std::size_t{64} * 1024;
    FsEvents(UniqueFd fd, UniqueFd waker) : fd_(std::move(fd)), waker_(std::move(waker)) {}
    Woken wait(std::chrono::milliseconds most, bool events);
    void read_places(std::span<const std::byte> records, Event& out) const;

    UniqueFd fd_;
    UniqueFd waker_;  // an eventfd
    EventBuffer buffer_{kBuffer};
};

}  // namespace plyfs::sys

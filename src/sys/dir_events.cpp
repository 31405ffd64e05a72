#include "sys/dir_events.h"

#include <sys/inotify.h>

#include <cstdio>
#include <cstring>

#include "sys/open.h"

namespace plyfs::sys {
namespace {

constexpr std::uint32_t kMade = IN_CREATE | IN_MOVED_TO;
constexpr std::uint32_t kChanged = IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_MOVE_SELF;
constexpr std::uint32_t kEnded = IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF;
constexpr std::size_t kDefaultWatches = 8192;  // the kernel's, where it does not say

}  // namespace

Result<DirEvents> DirEvents::open() {
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd.valid()) return Errno::last();
    return DirEvents(std::move(fd));
}

Result<int> DirEvents::watch(BorrowedFd dir) {
    const int watch =
        ::inotify_add_watch(fd_.get(), ProcPath(dir).c_str(), kMade | kChanged | IN_DELETE_SELF | IN_ONLYDIR);
    if (watch < 0) return Errno::last();
    return watch;
}

void DirEvents::unwatch(int watch) {
    ::inotify_rm_watch(fd_.get(), watch);  // fails when it has ended by itself
}

Result<bool> DirEvents::next(Event& out) {
    for (;;) {
        const auto left = TRY(buffer_.left(fd_));
        if (left.empty()) return false;
        struct inotify_event event;
        std::memcpy(&event, left.data(), sizeof event);
        const char* name = reinterpret_cast<const char*>(left.data()) + sizeof event;
        buffer_.take(sizeof event + event.len);
        out.watch = event.wd;
        out.directory = (event.mask & IN_ISDIR) != 0;
        out.name = event.len ? std::string_view(name) : std::string_view();
        if (event.mask & IN_Q_OVERFLOW) {
            out.what = Event::What::lost;
        } else if (event.mask & kEnded) {
            out.what = Event::What::ended;
        } else if (event.mask & kMade) {
            out.what = Event::What::made;
        } else if (event.mask & kChanged) {
            out.what = Event::What::changed;
        } else {
            continue;
        }
        return true;
    }
}

std::size_t most_dir_watches() {
    std::size_t most = kDefaultWatches;
    if (FILE* file = std::fopen("/proc/sys/fs/inotify/max_user_watches", "re")) {
        if (std::fscanf(file, "%zu", &most) != 1) most = kDefaultWatches;
        std::fclose(file);
    }
    return most;
}

}  // namespace plyfs::sys

// DirEvents: what happens in directories, as inotify(7) tells it. The kernel queues an event before the call that did
// it returns, whoever called and by whatever path; of what other machines do it knows nothing. Not for use by two
// threads at once.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "sys/event_buffer.h"

namespace plyfs::sys {

class DirEvents {
  public:
    struct Event {
        // made: a name in the directory. changed: a name was removed, or an attribute changed of the directory itself
        // or of something in it. ended: nothing more is told of it, which is gone or was unmounted. lost: there were
        // too many events, of any of the directories.
        enum class What { made, changed, ended, lost };
        What what = What::lost;
        int watch = -1;
        bool directory = false;  // what was made or removed is one
        std::string_view name;   // valid until the next call
    };

    // EMFILE at the user's limit of such objects.
    static Result<DirEvents> open();
    // The number by which the directory is told of: one already watched keeps its own. O_PATH does; ENOSPC at the
    // user's limit of watches.
    Result<int> watch(BorrowedFd dir);
    // What was queued before is told all the same.
    void unwatch(int watch);
    // False: nothing is left for now.
    Result<bool> next(Event& out);

  private:
    static constexpr std::size_t kBuffer = std::size_t{16} * 1024;
    explicit DirEvents(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
    EventBuffer buffer_{kBuffer};
};

// How many directories the user may watch in all of his programs.
std::size_t most_dir_watches();

}  // namespace plyfs::sys

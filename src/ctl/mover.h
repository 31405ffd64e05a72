// Moving what lies on one branch of a pool to others, one request to the daemon for each object, so that it can be
// ended at any moment and begun again; and telling how far it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ctl/branch_walk.h"
#include "ctl/mounts.h"

namespace plyfs::ctl {

// One line at the bottom of a terminal; nothing where standard error is none.
class Progress {
  public:
    explicit Progress(std::uint64_t bytes);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void add(std::uint64_t bytes, const std::string& path);

  private:
    const bool shows_;
    std::uint64_t all_;
    std::uint64_t done_ = 0;
    std::int64_t began_;  // monotonic milliseconds
    std::int64_t shown_ = 0;
};
// "[#####-----]  50%  1.0G of 2.0G  100M/s  0:10 left": what it shows before the path.
std::string progress_text(std::uint64_t done, std::uint64_t all, double seconds);

struct Stayed {
    std::string path;
    std::string why;
};
struct Moved {
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
    std::vector<Stayed> stayed;
};

class Mover {
  public:
    // to: empty: as the policy of the mount says.
    Mover(const Mount& mount, std::string from, std::string to)
        : mount_(mount), from_(std::move(from)), to_(std::move(to)) {}
    // All names of one object. False: it stays.
    bool move(const std::vector<std::string>& paths, std::uint64_t bytes);
    const Moved& moved() const { return moved_; }

  private:
    const Mount& mount_;
    const std::string from_, to_;
    Moved moved_;
};

// What a file takes on its disk.
std::uint64_t bytes_of(const OnDisk& object);
// Of the whole: JSON or text; the exit code.
// what: was done to them, as JSON calls it.
int report(const Moved& moved, bool json, const std::string& text, const char* what = "moved");

}  // namespace plyfs::ctl

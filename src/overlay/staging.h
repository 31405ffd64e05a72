// Copies of objects prepared in a work directory and published by one link or rename: a copy-up is complete or not
// there. Data, owner, mode, times, extended attributes (ACLs and capabilities among them) and inode flags are carried.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/id_map.h"
#include "branch/ownership.h"
#include "overlay/workdir.h"
#include "sys/stat.h"

namespace plyfs {

// A finished object that nobody sees yet. Discarded when it is destroyed unpublished.
class Staged {
  public:
    Staged(WorkDir& work, UniqueFd fd, std::optional<WorkDir::Temp> temp)
        : work_(&work), fd_(std::move(fd)), temp_(std::move(temp)) {}
    Staged(Staged&& other) noexcept
        : work_(std::exchange(other.work_, nullptr)),
          fd_(std::move(other.fd_)),
          temp_(std::move(other.temp_)),
          protection_(other.protection_) {}
    Staged& operator=(Staged&&) = delete;
    ~Staged();

    BorrowedFd fd() const { return fd_; }
    // Once it is published.
    UniqueFd take_fd() { return std::move(fd_); }
    // Append-only and immutable (FS_*_FL), set right after publication because they forbid it.
    void protect_with(unsigned flags) { protection_ = flags; }
    // Under its name, which must be free (EEXIST).
    Status publish(BorrowedFd dir, const Name& name);
    // In place of what is there, in one rename; of a directory only whiteouts are removed (WorkDir::take_away).
    Status publish_over(BorrowedFd dir, const Name& name);

  private:
    Status protect_published() const;

    WorkDir* work_;
    UniqueFd fd_;
    std::optional<WorkDir::Temp> temp_;  // none: a nameless file
    unsigned protection_ = 0;
};

// A copy from one branch to another, which may keep owners and modes in another way.
struct Carry {
    const Ownership& from;
    const Ownership& to;
    const IdMap& ids;
    // Everything arrives as it lies there.
    bool is_plain() const { return !from.overrides() && !to.overrides() && !ids.maps(); }
};

struct CopySource {
    BorrowedFd fd;  // O_PATH of the object, its symlink not followed
    sys::Stat st;
    // Of a regular file: how much of its content is wanted; less than its size: truncated.
    std::uint64_t data_bytes = 0;
    BorrowedFd content;                      // of a metacopy: the file that has it; else none
    bool metacopy = false;                   // the content stays below, and a mark says so; data_bytes is not looked at
    const Carry* carry = nullptr;            // null: within one branch, what lies there is taken as it is
    bool marks_protection = false;           // immutable and append-only are a mark of the copy
    bool reserve = false;                    // the space of the content is taken before it is copied
    bool sync = true;                        // whether a file's content must survive whatever its publication survives
    std::function<Status(BorrowedFd)> mark;  // what else the copy has to say of itself; empty: nothing
};

// The target of a symlink, by an O_PATH descriptor, however the branch keeps it.
Result<std::string> read_target(BorrowedFd symlink);

// cancelled is polled during a long copy: true ends it with EINTR. With source.sync no crash can leave the copy
// published without its content.
Result<Staged> stage_copy(WorkDir& work, const CopySource& source, const std::function<bool()>& cancelled);

// An empty directory that looks like the original (owner, mode, attributes), opaque if asked. Never immutable or
// append-only.
Result<Staged> stage_directory(WorkDir& work, BorrowedFd original, const sys::Stat& st, bool opaque,
                               const Carry* carry = nullptr);

// A copy says that it is immutable or append-only as its original. Where the file system stores no such mark it is
// neither, as with overlayfs.
Status mark_protection(const WorkDir& work, BorrowedFd copy, const sys::Stat& original);

}  // namespace plyfs

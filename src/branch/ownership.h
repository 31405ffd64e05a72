// Ownership: where a branch keeps owner, mode, type and device number of its objects, and how a change of them is
// stored: in the inode, or in an extended attribute of a plain file or directory that belongs to the daemon (stat
// override), as fuse-overlayfs and containers-storage do. The attribute's value is "uid:gid:mode" with the mode in
// octal and, after another colon, the type where that is not the inode's: dir, file, symlink, pipe, socket,
// block-MAJOR-MINOR or char-MAJOR-MINOR.
//
// Whoever shows a stat of a branch's object gets it here. With everything in the inode nothing here costs more than the
// system call that it stands for. Symlinks, and special files that an inode keeps, have no such attribute: their owner
// is the inode's. All ids are those stored (branch/id_map.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "config/config.h"
#include "sys/stat.h"

namespace plyfs {

// Where a branch keeps it; which one is told by the attribute that its root has, the first of these first.
enum class StatScheme {
    inode,
    privileged,  // security.fuseoverlayfs.override_stat
    containers,  // user.containers.override_stat; attributes in security.* are kept in user.* as well
    user,        // user.fuseoverlayfs.override_stat
};

// Takes owner, mode and type of `st` from an attribute's value. False for a value that is none; `st` then allows nobody
// but root anything.
bool apply_stored_stat(std::string_view value, sys::Stat& st);
std::string format_stored_stat(const sys::Stat& st);

class Ownership {
  public:
    Ownership() = default;
    explicit Ownership(StatScheme scheme) : scheme_(scheme) {}
    // As the branch's root says.
    static Ownership probe(BorrowedFd root);
    // Of a branch that will be written to: as asked for, or as its root says.
    static Ownership choose(BorrowedFd root, config::StatOverride wanted);

    StatScheme scheme() const { return scheme_; }
    bool overrides() const { return scheme_ != StatScheme::inode; }

    Result<sys::Stat> stat_at(BorrowedFd dir, const Name& name) const {
        if (!overrides()) return sys::stat_at(dir, name);
        return overridden_at(dir, name);
    }
    Result<sys::Stat> stat_fd(BorrowedFd fd) const {
        if (!overrides()) return sys::stat_fd(fd);
        return overridden_fd(fd);
    }

    // chown and chmod; descriptors may be O_PATH. A new owner takes setuid, setgid and capabilities away as the kernel
    // does it.
    Status set_owner(BorrowedFd fd, std::optional<uid_t> uid, std::optional<gid_t> gid) const;
    Status set_mode(BorrowedFd fd, mode_t mode) const;
    // Where it overrides, for a new object: owner, mode and type are those of `st`, the inode gets a mode that the
    // daemon can work with.
    Status store(BorrowedFd fd, const sys::Stat& st) const;

    // What this branch calls an attribute that users know as `seen`; none for one that is not for users.
    std::optional<std::string> stored_xattr(std::string_view seen) const;
    // And the other way round.
    std::optional<std::string> seen_xattr(std::string_view stored) const;

    // The attribute that overrides; null where none does.
    const char* xattr() const;

  private:
    Result<sys::Stat> overridden_at(BorrowedFd dir, const Name& name) const;
    Result<sys::Stat> overridden_fd(BorrowedFd fd) const;
    Status write(BorrowedFd fd, const sys::Stat& st) const;

    StatScheme scheme_ = StatScheme::inode;
};

// The permissions of an inode whose owner and mode are kept beside it: what the daemon needs, never setuid.
mode_t inode_permissions(const sys::Stat& st);

// Gives the root of a new upper the attribute that says how it keeps its objects: that of the highest layer below that
// has one, else a directory of root's that may be read. Nothing to do where there is one.
Status seed_root(const Ownership& upper, BorrowedFd root, const std::optional<sys::Stat>& below);

}  // namespace plyfs

// Credentials of a request: while a guard lives, the calling thread acts on the branches as somebody else.
// Guards are for one thread and nest (the inner one wins; each destructor brings back exactly what its
// constructor found, so an ActAs of root inside another guard is the daemon again). Nothing here touches
// other threads: glibc's wrappers would.
//
// What a guard changes: fsuid, fsgid, supplementary groups, the effective capabilities. Permission is not
// rechecked: the kernel did that on our mount with default_permissions, so the capabilities that override
// permission stay. What stays changed in a thread that ever had a guard: its own fs struct
// (unshare(CLONE_FS), so umask and cwd are its own), no supplementary groups (the daemon's own would make
// callers members of group 0), and the umask of the last guard: code that creates objects outside a guard
// must not rely on the umask.
//
// Where the process is not root or lacks CAP_SETUID or CAP_SETGID, guards change the umask only and succeed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace plyfs::sys {

struct Caller {
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    mode_t umask = 0;
};

namespace detail {
// What the thread's credentials are now, as far as guards change them.
struct CredState {
    uid_t fsuid = 0;
    gid_t fsgid = 0;
    std::uint64_t effective = 0;  // capabilities, bit CAP_*
    std::span<const gid_t> groups;
};
}  // namespace detail

// Acts as the caller: objects get its uid, gid (or the directory's, with sgid), umask or default ACL;
// CAP_FSETID and CAP_SYS_RESOURCE are gone, so that sgid is cleared and quotas and reserved blocks count as
// for the caller. For root (uid 0) capabilities stay; for uid 0 and gid 0 there is no system call at all but
// a changed umask.
class [[nodiscard]] ActAs {
  public:
    explicit ActAs(const Caller& caller) : ActAs(caller, {}) {}
    // With supplementary groups (they decide whether a non-root creator keeps sgid). `groups` must outlive
    // the guard.
    ActAs(const Caller& caller, std::span<const gid_t> groups);
    ~ActAs();
    ActAs(const ActAs&) = delete;
    ActAs& operator=(const ActAs&) = delete;

    // An error means that the thread is not acting as the caller (then it is as it was before): do not go on.
    // EOVERFLOW: uid or gid do not exist in our user namespace. EPERM and others: the kernel refused.
    Status status() const { return status_; }

  private:
    detail::CredState before_;
    Status status_;
    bool changed_ = false;
};

// For registering a backing file (I/O then runs with the credentials of the registering thread) and for data
// that the daemon writes on behalf of users: an fsuid that owns nothing and no CAP_SYS_RESOURCE, so that
// reserved blocks and quotas hold; CAP_FSETID stays effective, because suid and sgid are cleared by the FUSE
// rules (KILLPRIV_V2) and root's writes must not clear them; all else stays. Not for branches on NFS or FUSE:
// they would see the strange fsuid.
class [[nodiscard]] RegistrationCred {
  public:
    RegistrationCred();
    ~RegistrationCred();
    RegistrationCred(const RegistrationCred&) = delete;
    RegistrationCred& operator=(const RegistrationCred&) = delete;
    Status status() const { return status_; }

  private:
    detail::CredState before_;
    Status status_;
    bool changed_ = false;
};

// Supplementary groups of a process or thread, from /proc (one open, read and close): ESRCH if it is gone or
// not in our pid namespace (pid 0).
Result<std::vector<gid_t>> read_groups(pid_t pid);

// False where guards are no-ops for want of privilege (per thread the same as at its first guard).
bool can_act_as_callers();

}  // namespace plyfs::sys

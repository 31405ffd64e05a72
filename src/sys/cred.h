// Credentials of a request: while a guard lives, the calling thread acts on the branches as somebody else.
// Guards are for one thread and nest (the inner one wins; each destructor brings back exactly what its
// constructor found, so an ActAs of root inside another guard is the daemon again). Nothing here touches
// other threads: glibc's wrappers would.
//
// What a guard changes: fsuid, fsgid, supplementary groups, the effective capabilities. Permission is not
// rechecked: the kernel did that on our mount with default_permissions, so the capabilities that override
// permission stay.
//
// What stays changed in a thread that ever had a guard: its own fs struct (unshare(CLONE_FS), so umask and
// working directory are its own), no supplementary groups (the daemon's own would make callers members of
// group 0), securebit NO_SETUID_FIXUP (such a thread must not fork a program that gives up root by setuid: it
// would keep its capabilities), and the umask of the last guard: code that creates objects outside a guard
// must not rely on the umask.
//
// Each change of a credential costs about as much as ten empty system calls (the kernel copies them), so a
// guard makes only those that differ: none for root, four for others (fsuid and fsgid, there and back), two
// more each for groups, for dropping CAP_FSETID and, unless drop_spare_privileges() was called, for
// CAP_SYS_RESOURCE.
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

// Whether the branch's file system takes sgid away where the caller may not set it (creation with sgid and
// group execute in a directory with sgid; chmod; writing), for which the guard drops CAP_FSETID.
enum class SgidRule {
    by_branch,
    // The kernel has done it on our mount before the request was sent (CREATE, MKNOD, TMPFILE: the VFS since
    // Linux 6.0; SETATTR with default_permissions), or the request sets no sgid at all: CAP_FSETID may stay,
    // two changes less.
    by_mount,
};

namespace detail {
// What the thread's credentials are, as far as guards change them.
struct CredState {
    uid_t fsuid = 0;
    gid_t fsgid = 0;
    std::uint64_t effective = 0;  // capabilities, bit CAP_*
    std::span<const gid_t> groups;
};

// The common part of the guards: takes the thread to a state and brings it back.
class CredGuard {
  public:
    ~CredGuard();
    CredGuard(const CredGuard&) = delete;
    CredGuard& operator=(const CredGuard&) = delete;

    // An error means that the thread's credentials are as they were before the guard: do not go on with the
    // request. EOVERFLOW: uid or gid do not exist in our user namespace. EPERM and others: the kernel
    // refused.
    Status status() const { return status_; }

  protected:
    CredGuard() = default;
    void enter(const CredState& wanted);
    Status status_;

  private:
    CredState before_;
    bool entered_ = false;
};
}  // namespace detail

// Acts as the caller: objects get its uid, gid (or the directory's, with sgid), umask or default ACL;
// CAP_FSETID and CAP_SYS_RESOURCE are gone, so that sgid is cleared and quotas and reserved blocks count as
// for the caller. For uid 0 capabilities stay.
class [[nodiscard]] ActAs : public detail::CredGuard {
  public:
    explicit ActAs(const Caller& caller, SgidRule sgid = SgidRule::by_branch) : ActAs(caller, {}, sgid) {}
    // With supplementary groups (they decide whether a non-root creator keeps sgid). `groups` must outlive
    // the guard.
    ActAs(const Caller& caller, std::span<const gid_t> groups, SgidRule sgid = SgidRule::by_branch);
};

// For registering a backing file (I/O then runs with the credentials of the registering thread) and for data
// that the daemon writes on behalf of users: an fsuid that owns nothing and no CAP_SYS_RESOURCE, so that
// reserved blocks and quotas hold; CAP_FSETID stays effective, because suid and sgid are cleared by the FUSE
// rules (KILLPRIV_V2) and root's writes must not clear them; all else stays. Not needed for what is never
// written (lower branches), and not for branches on NFS or FUSE: they would see the strange fsuid.
class [[nodiscard]] RegistrationCred : public detail::CredGuard {
  public:
    RegistrationCred();
};

// Supplementary groups of a process or thread, from /proc (one open, read and close): ESRCH if it is gone or
// not in our pid namespace (pid 0).
Result<std::vector<gid_t>> read_groups(pid_t pid);

// Takes every capability from the calling thread, and so from the threads that it starts, that serving files does not
// need: for good. CAP_SYS_RESOURCE is among them, so root's own requests honour its quota too. Once, in main, after the
// resource limits are set.
Status drop_spare_privileges();

// False where guards are no-ops for want of privilege.
bool can_act_as_callers();

}  // namespace plyfs::sys

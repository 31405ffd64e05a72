#include "sys/cred.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace plyfs::sys {
namespace {

using detail::CredState;

constexpr std::uint64_t bit(int cap) {
    return std::uint64_t{1} << cap;
}

// What the kernel takes from the effective set when fsuid leaves 0 and gives back (as far as permitted) when
// it becomes 0, unless SECBIT_NO_SETUID_FIXUP is set.
constexpr std::uint64_t kFixupCaps = bit(CAP_CHOWN) | bit(CAP_MKNOD) | bit(CAP_DAC_OVERRIDE) |
                                     bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) | bit(CAP_FSETID) |
                                     bit(CAP_LINUX_IMMUTABLE) | bit(CAP_MAC_OVERRIDE);

// What a daemon that answers for everybody keeps: to act as its callers, to carry up every attribute, to mount, to
// watch and to hand files to the kernel (SYS_ADMIN), to ask for leases of others' files, to take a caller's I/O
// priority, and memory for rings. Not among them: the reserve (SYS_RESOURCE), so that root's own requests honour its
// quota as its passthrough I/O does anyway, and whatever has nothing to do with files (networks, modules, processes,
// time...).
constexpr std::uint64_t kKeptCaps = kFixupCaps | bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_SETPCAP) |
                                    bit(CAP_SETFCAP) | bit(CAP_SYS_ADMIN) | bit(CAP_LEASE) | bit(CAP_SYS_NICE) |
                                    bit(CAP_IPC_LOCK) | bit(CAP_MAC_ADMIN);

// Owner of nothing. Not 65534 (nobody): mke2fs -E root_owner and ext4's resuid= are set to it on real systems
// (the machine this was developed on has resuid=65534), and then its I/O would eat the reserve. Not
// 4294967295: no uid.
constexpr uid_t kNobodysUid = 4294967294;

// As whom a thread goes on that can not return to its own credentials is known, and left with the next request.
constexpr int kReturnTries = 3;

struct Capabilities {
    std::uint64_t effective = 0;
    std::uint64_t permitted = 0;
    std::uint64_t inheritable = 0;
};

Result<Capabilities> get_capabilities() {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (::syscall(SYS_capget, &header, data) != 0) return Errno::last();
    auto join = [](std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; };
    return Capabilities{join(data[0].effective, data[1].effective), join(data[0].permitted, data[1].permitted),
                        join(data[0].inheritable, data[1].inheritable)};
}

// Of the calling thread. A bit outside the permitted set makes the whole call fail.
Status set_capabilities(const Capabilities& caps) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    auto low = [](std::uint64_t set) { return static_cast<std::uint32_t>(set); };
    auto high = [](std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); };
    __user_cap_data_struct data[2] = {{low(caps.effective), low(caps.permitted), low(caps.inheritable)},
                                      {high(caps.effective), high(caps.permitted), high(caps.inheritable)}};
    if (::syscall(SYS_capset, &header, data) != 0) return Errno::last();
    return {};
}

// In the first user namespace every uid but 4294967295 exists, and setfsuid, which reports no errors, can not
// fail.
bool in_first_user_namespace() {
    static const bool first = [] {
        UniqueFd fd(::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
        char text[128] = {};
        if (!fd.valid() || ::read(fd.get(), text, sizeof text - 1) <= 0) return false;
        unsigned long inside = 1, outside = 1, count = 0;
        return std::sscanf(text, "%lu %lu %lu", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
               count >= kNobodysUid;
    }();
    return first;
}

// The credentials of this thread, kept in step with the kernel's: what is known need not be asked.
class ThreadCred {
  public:
    static ThreadCred& current() {
        static thread_local ThreadCred thread;
        return thread;
    }

    const CredState& state() const { return state_; }
    const CredState& own() const { return own_; }
    bool able() const { return able_; }

    // Takes the thread to `wanted` with the fewest changes. After an error the thread is as it was.
    Status change_to(const CredState& wanted) {
        const CredState before = state_;
        auto done = try_change(wanted);
        if (!done) undo_to(before);
        return done;
    }

    Status set_umask(mode_t mask) {
        if (mask == umask_) return {};
        if (unshare_error_ != 0) return Errno(unshare_error_);  // it would be the umask of all threads
        ::umask(mask);
        umask_ = mask;
        return {};
    }

  private:
    static constexpr mode_t kUnknownUmask = ~mode_t{0};

    ThreadCred() {
        if (::unshare(CLONE_FS) != 0) unshare_error_ = errno;
        auto caps = get_capabilities();
        if (!caps) return;
        caps_ = *caps;
        constexpr std::uint64_t kNeeded = bit(CAP_SETUID) | bit(CAP_SETGID);
        able_ = ::geteuid() == 0 && (caps_.effective & kNeeded) == kNeeded;
        if (!able_) return;
        // Without CAP_SETPCAP the fix-up stays on and is reckoned with.
        const int bits = ::prctl(PR_GET_SECUREBITS);
        fixup_ = bits < 0 || ((bits & SECBIT_NO_SETUID_FIXUP) == 0 &&
                              ::prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) != 0);
        if (::getgroups(0, nullptr) > 0 && ::syscall(SYS_setgroups, 0, nullptr) != 0) able_ = false;
        own_ = {.fsuid = query_fsuid(), .fsgid = query_fsgid(), .effective = caps_.effective, .groups = {}};
        state_ = own_;
    }

    // An id that does not exist changes nothing and returns the present one.
    static uid_t query_fsuid() { return static_cast<uid_t>(::syscall(SYS_setfsuid, -1)); }
    static gid_t query_fsgid() { return static_cast<gid_t>(::syscall(SYS_setfsgid, -1)); }

    Status try_change(const CredState& wanted) {
        if (wanted.groups.data() != state_.groups.data() || wanted.groups.size() != state_.groups.size()) {
            TRY(set_groups(wanted.groups));
        }
        if (wanted.fsgid != state_.fsgid) TRY(set_fsgid(wanted.fsgid));
        if (wanted.fsuid != state_.fsuid) TRY(set_fsuid(wanted.fsuid));
        if (wanted.effective != state_.effective) TRY(set_effective(wanted.effective));
        return {};
    }

    // Going back to a state that the thread was in: ids that existed, bits that are permitted.
    void undo_to(const CredState& before) {
        if (!try_change(before)) able_ = false;  // can not happen; no guard of this thread does anything any more
    }

    Status set_groups(std::span<const gid_t> groups) {
        if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0) return Errno::last();
        state_.groups = groups;
        return {};
    }

    Status set_fsgid(gid_t gid) {
        if (gid == static_cast<gid_t>(-1)) return Errno(EOVERFLOW);
        ::syscall(SYS_setfsgid, gid);
        if (!in_first_user_namespace() && query_fsgid() != gid) return Errno(EOVERFLOW);
        state_.fsgid = gid;
        return {};
    }

    Status set_fsuid(uid_t uid) {
        if (uid == static_cast<uid_t>(-1)) return Errno(EOVERFLOW);
        ::syscall(SYS_setfsuid, uid);
        if (!in_first_user_namespace() && query_fsuid() != uid) return Errno(EOVERFLOW);
        if (fixup_ && state_.fsuid == 0) state_.effective &= ~kFixupCaps;
        if (fixup_ && uid == 0) state_.effective |= kFixupCaps & caps_.permitted;
        state_.fsuid = uid;
        return {};
    }

    Status set_effective(std::uint64_t effective) {
        TRY(set_capabilities({effective, caps_.permitted, caps_.inheritable}));
        state_.effective = effective;
        return {};
    }

    CredState own_;  // the daemon's, found at the thread's first guard
    CredState state_;
    Capabilities caps_;
    mode_t umask_ = kUnknownUmask;
    int unshare_error_ = 0;
    bool able_ = false;
    bool fixup_ = true;
};

CredState state_of(const Caller& caller, std::span<const gid_t> groups, SgidRule sgid, const CredState& own) {
    CredState wanted{.fsuid = caller.uid, .fsgid = caller.gid, .effective = own.effective, .groups = {}};
    if (caller.uid == 0) return wanted;
    wanted.groups = groups;
    wanted.effective &= ~bit(CAP_SYS_RESOURCE);
    if (sgid == SgidRule::by_branch) wanted.effective &= ~bit(CAP_FSETID);
    return wanted;
}

}  // namespace

namespace detail {

void CredGuard::enter(const CredState& wanted) {
    ThreadCred& thread = ThreadCred::current();
    before_ = thread.state();
    status_ = thread.change_to(wanted);
    entered_ = status_.has_value();
}

CredGuard::~CredGuard() {
    if (!entered_) return;
    // Back to where the thread was: it was allowed to leave that state, so it may return, if not for want of memory.
    for (int tries = 0; tries < kReturnTries; ++tries) {
        if (ThreadCred::current().change_to(before_)) return;
    }
}

}  // namespace detail

ActAs::ActAs(const Caller& caller, std::span<const gid_t> groups, SgidRule sgid) {
    ThreadCred& thread = ThreadCred::current();
    status_ = thread.set_umask(caller.umask & 0777);
    if (status_ && thread.able()) enter(state_of(caller, groups, sgid, thread.own()));
}

RegistrationCred::RegistrationCred() {
    ThreadCred& thread = ThreadCred::current();
    if (!thread.able()) return;
    CredState wanted = thread.own();
    wanted.effective &= ~bit(CAP_SYS_RESOURCE);
    // Elsewhere our root is not the file system's root and the strange uid may not exist: nothing to hide.
    if (in_first_user_namespace()) wanted.fsuid = kNobodysUid;
    enter(wanted);
}

Result<std::vector<gid_t>> read_groups(pid_t pid) {
    if (pid <= 0) return Errno(ESRCH);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, pid);
    UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno(errno == ENOENT ? ESRCH : errno);
    std::string text(4096, '\0');
    std::size_t used = 0;
    for (;;) {
        const ssize_t n = ::read(fd.get(), text.data() + used, text.size() - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return Errno::last();
        if (n == 0) break;
        used += static_cast<std::size_t>(n);
        if (used == text.size()) text.resize(text.size() * 2);  // up to 65,536 groups
    }
    text.resize(used);
    constexpr std::string_view kLine = "\nGroups:";
    const std::size_t line = text.find(kLine);
    if (line == std::string::npos) return Errno(EIO);
    const char* at = text.data() + line + kLine.size();
    const char* end = text.data() + std::min(text.find('\n', line + 1), text.size());
    std::vector<gid_t> groups;
    while (at < end) {
        gid_t gid = 0;
        const auto [next, error] = std::from_chars(at, end, gid);
        if (error == std::errc()) groups.push_back(gid);
        at = error == std::errc() ? next : at + 1;
    }
    return groups;
}

Status drop_spare_privileges() {
    auto caps = TRY(get_capabilities());
    // Before the thread loses what that takes. Programs that it starts get no more than it has.
    for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap) >= 0; ++cap) {
        if (!(kKeptCaps & bit(cap)) && (caps.effective & bit(CAP_SETPCAP)) && ::prctl(PR_CAPBSET_DROP, cap) != 0) {
            return Errno::last();
        }
    }
    caps.effective &= kKeptCaps;
    caps.permitted &= kKeptCaps;
    caps.inheritable = 0;
    return set_capabilities(caps);
}

bool can_act_as_callers() {
    return ThreadCred::current().able();
}

}  // namespace plyfs::sys

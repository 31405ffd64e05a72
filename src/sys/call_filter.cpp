#include "sys/call_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "sys/call_numbers.h"

namespace plyfs::sys {
namespace {

#if defined(__x86_64__)
constexpr unsigned kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArch = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr unsigned kArch = AUDIT_ARCH_RISCV64;
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
constexpr unsigned kArch = AUDIT_ARCH_PPC64LE;
#else
constexpr unsigned kArch = 0;
#endif

// What comes later somebody may try and then do without, if he is told that there is no such call.
constexpr unsigned kNewest = kRemovexattrat;
constexpr unsigned kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr unsigned kFirstArgument = offsetof(seccomp_data, args) + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4);

// What glibc, libfuse, libstdc++ and we make of it once a mount is served. Calls that some machines have only in
// another form stand between #ifdefs.
// clang-format off
constexpr unsigned kKnown[] = {
    // Descriptors.
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2,
    SYS_pwritev2, SYS_splice, SYS_tee, SYS_vmsplice, SYS_sendfile, SYS_copy_file_range, SYS_close, SYS_close_range,
    SYS_dup, SYS_dup3, SYS_fcntl, SYS_ioctl, SYS_lseek, SYS_pipe2, SYS_eventfd2, SYS_memfd_create, SYS_ppoll,
    SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_timerfd_create, SYS_timerfd_settime,
    SYS_timerfd_gettime, SYS_signalfd4, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
    SYS_fanotify_init, SYS_fanotify_mark,
    // Files.
    SYS_openat, SYS_openat2, SYS_statx, SYS_fstat, SYS_faccessat, SYS_faccessat2, SYS_readlinkat, SYS_mkdirat,
    SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_mknodat, SYS_fchmod, SYS_fchmodat, SYS_fchown,
    SYS_fchownat, SYS_utimensat, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_getdents64, SYS_getcwd, SYS_chdir,
    SYS_fchdir, SYS_umask, SYS_statfs, SYS_fstatfs, SYS_sync_file_range, SYS_fsync, SYS_fdatasync, SYS_syncfs,
    SYS_fadvise64, SYS_readahead, SYS_flock, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr,
    SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_removexattr, SYS_lremovexattr,
    SYS_fremovexattr, SYS_name_to_handle_at, SYS_open_by_handle_at,
    // Mounts: a branch that comes back is cloned, the file that ends the connection is looked for, our own goes.
    SYS_mount, SYS_umount2, SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
    // This process and its threads.
    SYS_exit, SYS_exit_group, SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_set_tid_address,
    SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_setscheduler, SYS_getpriority, SYS_setpriority, SYS_ioprio_set, SYS_ioprio_get, SYS_getpid,
    SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getgroups, SYS_setgroups,
    SYS_setfsuid, SYS_setfsgid, SYS_capget, SYS_capset, SYS_prctl, SYS_wait4, SYS_waitid, SYS_kill, SYS_tgkill,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
    SYS_sigaltstack, SYS_restart_syscall, SYS_setsid, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime,
    SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_prlimit64,
    SYS_times, SYS_membarrier, SYS_getcpu, SYS_pidfd_open, SYS_pidfd_send_signal,
    // Memory.
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mincore, SYS_msync,
    // Sockets, of one kind (below).
    SYS_bind, SYS_listen, SYS_accept4, SYS_connect, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
    SYS_shutdown, SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_open
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_unlink, SYS_rmdir, SYS_rename, SYS_mkdir,
    SYS_chmod, SYS_poll, SYS_pipe, SYS_dup2, SYS_epoll_wait, SYS_getdents,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_time
    SYS_time,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
    kFchmodat2, kSetxattrat, kGetxattrat, kListxattrat, kRemovexattrat,
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_futex_waitv
    SYS_futex_waitv,
#endif
};
// clang-format on

class Program {
  public:
    explicit Program(bool rings) {
        load(offsetof(seccomp_data, arch));
        add(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
        refuse(EPERM);
        load(offsetof(seccomp_data, nr));
        add(BPF_JMP | BPF_JGT | BPF_K, kNewest, 0, 1);
        refuse(ENOSYS);
        // glibc falls back to clone, whose flags we could look at.
        refuse_one(SYS_clone3, ENOSYS);
        for (const unsigned call : kKnown) allow(call);
        if (rings) {
            for (const unsigned call : {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) allow(call);
        }
        for (const unsigned call : {SYS_socket, SYS_socketpair}) allow_if(call, BPF_JEQ, AF_UNIX, true);
        // Threads and processes, but no namespaces; a thread may have a umask of its own.
        allow_if(SYS_clone, BPF_JSET, kNamespaces, false);
        allow_if(SYS_unshare, BPF_JEQ, CLONE_FS, true);
        refuse(EPERM);
    }
    sock_fprog get() { return {static_cast<unsigned short>(code_.size()), code_.data()}; }

  private:
    void add(unsigned code, unsigned value, unsigned char if_true = 0, unsigned char if_false = 0) {
        code_.push_back({static_cast<unsigned short>(code), if_true, if_false, value});
    }
    void load(unsigned at) { add(BPF_LD | BPF_W | BPF_ABS, at); }
    void refuse(unsigned error) { add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error); }
    void allow(unsigned call) {
        add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    void refuse_one(unsigned call, unsigned error) {
        add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
        refuse(error);
    }
    // By its first argument. Who comes behind it finds the number loaded.
    void allow_if(unsigned call, unsigned test, unsigned value, bool wanted) {
        add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
        load(kFirstArgument);
        add(BPF_JMP | test | BPF_K, value, wanted ? 0 : 1, wanted ? 1 : 0);
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        refuse(EPERM);
    }

    std::vector<sock_filter> code_;
};

}  // namespace

Status give_up_other_calls(bool rings) {
    if (kArch == 0) return Errno(ENOSYS);
    Program program(rings);
    const sock_fprog filter = program.get();
    // Nothing is executed any more, so this only says what is so.
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Errno::last();
    constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG;
    const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &filter);
    if (done < 0) return Errno::last();
    return done == 0 ? Status() : Errno(EBUSY);  // the number of a thread that has another filter
}

}  // namespace plyfs::sys

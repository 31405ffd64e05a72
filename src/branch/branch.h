// Branch: one directory that takes part in the union, opened once at mount time. Everything below it is reached from
// its root descriptor, never by path. Read-only branches are held through a private read-only clone of their mount
// where the kernel allows it, so that even a wrong answer to the kernel (which re-opens backing files with the caller's
// flags) ends in EIO and not in a modified lower file.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "branch/ownership.h"
#include "config/config.h"
#include "sys/stat.h"

namespace plyfs {

// A branch's place in the order of priority; -1: none.
using BranchIndex = std::int16_t;

// What a placement policy knows of a branch's file system; bytes are those an unprivileged user may still take.
struct Space {
    std::uint64_t available = 0;
    std::uint64_t total = 0;
    std::uint64_t reserve = 0;  // with less available the branch takes no new names
    bool read_only = false;
    bool no_inodes = false;
};

// Of a file system with so many bytes.
std::uint64_t reserve_of(const config::MinFree& min_free, std::uint64_t total);

class Branch {
  public:
    // Whether the kernel took files of this branch as backing files. Settled by the first registration.
    enum class Passthrough { untried, yes, no };
    // How its file system answers whoever looks after it: at once, not yet, or not for as long as is waited for one.
    enum class Answers { promptly, late, not_at_all };

    struct Parts {
        int index = 0;
        config::BranchMode mode = config::BranchMode::rw;
        std::string path;
        UniqueFd root;        // for everything but writing to a read-only branch, which never happens
        bool cloned = false;  // root lies in a private read-only mount
        bool read_only_fs = false;
        bool network = false;  // NFS, FUSE and the like: data is sent under the credentials of a registration
        int stacking = 0;      // file systems already stacked here as far as the type tells: 0 or 1
        std::uint64_t device = 0;
        sys::FileKey root_key;
        std::uint64_t mount = 0;  // the root's, as sys::mount_of() has it
        Ownership ownership;
        bool present = true;        // false: root leads nowhere
        bool mount_root = false;    // it was one when the mount began
        config::MinFree min_free;   // neither given: nothing is kept free
        bool own_min_free = false;  // not the pool's
        double space_age = 1;       // seconds for which a look at the space is believed
        // Files that nobody may write to and that are unchanged for so many seconds are shown as symbolic links.
        std::optional<double> symlinkify_age;
    };
    explicit Branch(Parts parts)
        : p_(std::move(parts)),
          mode_(p_.mode),
          present_(p_.present),
          device_(p_.device),
          network_(p_.network),
          mount_(p_.mount),
          root_key_(p_.root_key),
          min_free_(p_.min_free) {}

    int index() const { return p_.index; }
    const std::string& path() const { return p_.path; }
    config::BranchMode mode() const { return mode_.load(std::memory_order_relaxed); }
    // rw or nc, of one that has one of these.
    void set_mode(config::BranchMode mode) { mode_.store(mode, std::memory_order_relaxed); }
    BorrowedFd root() const { return p_.root; }
    std::uint64_t device() const { return device_.load(std::memory_order_relaxed); }
    bool cloned() const { return p_.cloned; }
    // What its objects look like and how a change of that is stored. The two stats are for objects of this branch,
    // which are what the branch says and not always what the inode is.
    const Ownership& ownership() const { return p_.ownership; }
    Result<sys::Stat> stat_at(BorrowedFd dir, const Name& name) const { return shown(p_.ownership.stat_at(dir, name)); }
    Result<sys::Stat> stat_fd(BorrowedFd fd) const { return shown(p_.ownership.stat_fd(fd)); }
    // A plain file in a listing may be shown as something else.
    bool shows_other_types() const { return p_.ownership.overrides() || p_.symlinkify_age; }
    bool network() const { return network_.load(std::memory_order_relaxed); }
    int stacking() const { return p_.stacking; }
    // Whatever its mode: the file system was mounted so when the branch was opened.
    bool on_read_only_fs() const { return p_.read_only_fs; }
    // May be modified at all (rw or nc, on a file system that is not read-only).
    bool writable() const { return mode() != config::BranchMode::ro && !p_.read_only_fs; }
    bool takes_new_names() const { return mode() == config::BranchMode::rw && !p_.read_only_fs; }

    // Whether its file system is there: false while it is not mounted, or was taken out of the machine.
    bool was_mount_root() const { return p_.mount_root; }
    bool present() const { return present_.load(std::memory_order_acquire); }
    // The root leads nowhere from now on, so that nothing of ours keeps the file system busy; and to what came back.
    // For one thread at a time; whoever borrowed the root goes on with one of the two.
    void take_away();
    Status bring_back(UniqueFd root, bool network);  // seen once it appears
    void appear() { present_.store(true, std::memory_order_release); }

    // Late: what needs no answer of it goes without. Who hangs is not asked any more, if that can be helped.
    bool is_late() const { return answers_.load(std::memory_order_acquire) != Answers::promptly; }
    bool hangs() const { return answers_.load(std::memory_order_acquire) == Answers::not_at_all; }
    // By BranchSet, which counts those that are late.
    void set_answers(Answers answers);
    // For how many seconds it has hung; 0 if it does not.
    double hangs_for() const;
    // Whether an object of that mount is one of this branch, or of one that was taken away while somebody waited for
    // it.
    bool is_mount(std::uint64_t mount) const;
    // What the root was when it was opened.
    sys::FileKey root_key() const {
        MutexLock lock(mutex_);
        return root_key_;
    }

    // Nothing is kept free: space() is asked for preferences only.
    bool keeps_free() const;
    // The pool's from now on; nothing where the branch has its own.
    void set_pool_min_free(const config::MinFree& min_free);
    // statvfs of the root, as old as the pool's option allows. Costs no system call once somebody refreshes it, who is
    // late only if the branch is.
    Space space() const;
    void refresh_space() const;
    // As it was when it was last looked at, without a system call; zeros: never.
    Space known_space() const {
        MutexLock lock(mutex_);
        return space_;
    }

    Passthrough passthrough() const { return passthrough_.load(std::memory_order_relaxed); }
    std::string passthrough_reason() const;
    void passthrough_works();
    // Logs the reason, once a branch.
    void passthrough_refused(std::string reason);
    // A file could not be read here and was elsewhere: logged once, until the branch went and came.
    void read_failed();

  private:
    Space read_space() const;
    Result<sys::Stat> shown(Result<sys::Stat> st) const {
        if (p_.symlinkify_age && st && sys::is_regular(*st)) symlinkify(*st);
        return st;
    }
    void symlinkify(sys::Stat& st) const;

    Parts p_;
    std::atomic<config::BranchMode> mode_;
    std::atomic<bool> present_;
    std::atomic<std::uint64_t> device_;
    std::atomic<bool> network_;
    std::atomic<std::uint64_t> mount_;
    std::atomic<Answers> answers_{Answers::promptly};
    std::atomic<std::int64_t> hangs_since_{0};  // monotonic milliseconds
    std::atomic<Passthrough> passthrough_{Passthrough::untried};
    std::atomic<bool> read_failed_{false};
    mutable Mutex mutex_;
    sys::FileKey root_key_ GUARDED_BY(mutex_);
    std::string reason_ GUARDED_BY(mutex_);
    config::MinFree min_free_ GUARDED_BY(mutex_);
    mutable Space space_ GUARDED_BY(mutex_);
    mutable std::int64_t space_taken_ GUARDED_BY(mutex_) = -1;  // monotonic milliseconds; -1: never
    mutable bool refreshed_ GUARDED_BY(mutex_) = false;         // by somebody who goes on doing that
};

}  // namespace plyfs

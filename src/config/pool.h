// What only pools have: which branch takes, answers for or is changed with a name. Plain values, part of config.h,
// which is what other rooms include.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/files.h"

namespace plyfs::config {

// rw: everything; nc: everything but new names; ro: never modified, a write copies up into a branch above it.
enum class BranchMode { rw, ro, nc };

// How much of a branch stays free of new names: so many bytes, or a share of its size; of both the less.
struct MinFree {
    std::optional<std::uint64_t> bytes;
    std::optional<double> share;  // 0 to 1
    friend bool operator==(const MinFree&, const MinFree&) = default;
};
// mergerfs' 4G, but never the whole of a small branch.
inline constexpr MinFree kDefaultMinFree{std::uint64_t{4} << 30, 0.05};
// A file that is larger than this when it meets the end of its branch was written in one go by whoever opened it.
inline constexpr MinFree kDefaultMoveReserve{std::uint64_t{64} << 30, 0.05};

struct BranchSpec {
    std::string path;  // absolute and canonical once validated
    BranchMode mode = BranchMode::rw;
    std::string written;              // as the user wrote it, for messages
    std::optional<MinFree> min_free;  // unset: as the pool's
    bool pattern = false;             // `path` is one for glob(3), which validation puts the directories in place of
    bool missing = false;             // found so at mount time, and allowed to be
    bool mount_root = false;          // of a file system, by itself: found so by validate(), and expected from then on
    bool holds_mountpoint = false;    // a layer with the mountpoint in it, such as "/"; found by validate()
};

// A way to choose among branches; the names are mergerfs', and so is what they mean, but for largest, which is ours.
enum class Policy : std::uint8_t {
    all,
    epall,
    epff,
    eplfs,
    eplus,
    epmfs,
    eppfrd,
    eprand,
    erofs,
    ff,
    largest,
    lfs,
    lup,
    lus,
    mfs,
    msplfs,
    msplus,
    mspmfs,
    msppfrd,
    newest,
    pfrd,
    rand,
    count_
};
// The others are about objects that are there.
constexpr bool has_create_form(Policy policy) {
    return policy != Policy::largest;
}

// What a policy is chosen for, by the name of its func.* option.
enum class Function : std::uint8_t {
    access,
    getattr,
    getxattr,
    listxattr,
    open,
    readlink,
    chmod,
    chown,
    link,
    removexattr,
    rename,
    rmdir,
    setxattr,
    truncate,
    unlink,
    utimens,
    create,
    mkdir,
    mknod,
    symlink,
    count_
};
enum class Category { search, action, create };
constexpr Category category_of(Function function) {
    if (function < Function::chmod) return Category::search;
    return function < Function::create ? Category::action : Category::create;
}

class Policies {
  public:
    constexpr Policies() {
        set(Category::search, Policy::ff);
        set(Category::action, Policy::epall);
        set(Category::create, Policy::pfrd);
    }
    constexpr Policy of(Function function) const { return chosen_[static_cast<std::size_t>(function)]; }
    constexpr void set(Function function, Policy policy) { chosen_[static_cast<std::size_t>(function)] = policy; }
    constexpr void set(Category category, Policy policy) {
        for (int i = 0; i < static_cast<int>(Function::count_); ++i) {
            const auto function = static_cast<Function>(i);
            if (category_of(function) == category) set(function, policy);
        }
    }

  private:
    std::array<Policy, static_cast<std::size_t>(Function::count_)> chosen_{};
};

// Where new names go that it fits: only on its branches, by its policy. Of several the first counts.
struct PlacementRule {
    std::string path;                   // pattern of the whole path, or of a directory above; empty: any
    std::string name;                   // pattern of the last component; empty: any
    std::optional<std::uint32_t> uid;   // of whoever makes it
    std::optional<std::uint32_t> gid;   //
    std::vector<std::string> branches;  // as directories; empty: all
    std::vector<int> members;           // the same by number, once validated
    std::optional<Policy> policy;       // unset: the function's
    std::string place;                  // "pool.yaml:7:5", for messages
};

// What a branch that is not there when the pool is mounted means.
enum class BranchesMissing { fail, wait, degraded };

// What takes a new name where the object can not come to it: nothing (EXDEV), or a symbolic link to where it is then,
// by a path from the link's directory, through the mountpoint, or on the branch itself.
enum class LinkInstead { none, relative, through_mount, on_branch };

// Who reads another copy when one can not be read: the daemon where it reads, or also instead of the kernel, or nobody.
enum class ReadFailover { automatic, always, off };

struct PoolOptions {
    Policies policies;
    MinFree min_free = kDefaultMinFree;
    double space_age = 1;  // seconds for which a look at a branch's free space is believed
    std::vector<PlacementRule> rules;
    BranchesMissing missing = BranchesMissing::fail;
    double mount_timeout = 0;         // seconds that `wait` waits
    bool mount_timeout_fail = false;  // what comes after them: no mount, or one without the branch
    FileOptions files;
    bool lost_is_error = false;  // what no branch has may be on one that is missing: EIO, not ENOENT

    bool copy_up = true;         // off: what lies on a branch that may not be modified is not changed
    bool whiteouts = true;       // off: nor is it deleted, and marks are ordinary objects
    bool unlink_winner = false;  // of the copies of a file only the one that is seen is removed
    bool ignore_paths = false;   // renames and links go anywhere, whatever the create policy
    LinkInstead rename_instead = LinkInstead::none;
    LinkInstead link_instead = LinkInstead::none;
    ReadFailover failover = ReadFailover::automatic;
    std::string mountpoint;  // for links through it; known once the branches are looked at
    // Where a file goes that finds its branch full while it is written; unset: it stays and the error is told.
    std::optional<Policy> move_policy = Policy::pfrd;
    // With less available on its branch a file is written through the daemon, which alone can see that it is full.
    MinFree move_reserve = kDefaultMoveReserve;
};

}  // namespace plyfs::config

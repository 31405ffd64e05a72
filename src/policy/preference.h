// What each of the policies prefers, and among which branches: the table that its create, search and action forms
// share. Pure, as the whole room: facts and a random number go in, branch numbers come out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/config.h"

namespace plyfs::policy {

// One branch as a policy sees it. For a new name `modified` is of the directory that gets it, else of the object
// itself.
struct Candidate {
    int branch = 0;
    config::BranchMode mode = config::BranchMode::rw;
    bool read_only_fs = false;
    bool no_inodes = false;
    // Of a new name: how many directories would have to be made for it on this branch; 0: its directory is there.
    int missing_parents = 0;
    std::uint64_t available = 0;  // bytes that an unprivileged user may still take
    std::uint64_t total = 0;
    std::uint64_t reserve = 0;  // with less than this available it takes no new names
    std::int64_t modified = 0;  // nanoseconds
    std::uint64_t size = 0;     // of an object that is there
};

// Which branches a new name may go to. parent: that have its directory. nearest: that have its directory, or else the
// directory above that, and so on.
enum class Reach { anywhere, parent, nearest };
Reach reach_of(config::Policy policy);
// A create policy that is path preserving, which decides where renames and links may lead.
bool keeps_to_paths(config::Policy policy);

// The object is made, or changed, on all branches that the policy allows instead of on one.
bool takes_all(config::Policy policy);
// There is never a branch.
bool refuses(config::Policy policy);

// Facts that cost a system call a branch; where not wanted they need not be filled in. A new name needs the space in
// any case, for a full branch takes none.
bool wants_space(config::Policy policy);
bool wants_times(config::Policy policy);
// The answer may be another one each time.
bool is_random(config::Policy policy);

// The most preferred first. Candidates come in the order of the branches' priority; among equals mfs and lfs prefer the
// later branch, all others the earlier one. random: uniform over all 64-bit numbers.
void sort_by_preference(config::Policy policy, std::vector<Candidate>& candidates, std::uint64_t random);

// The graver of two reasons for which branches were left out: EROFS before ENOSPC before ENOENT.
int graver(int a, int b);

}  // namespace plyfs::policy

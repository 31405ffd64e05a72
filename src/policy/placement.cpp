#include "policy/placement.h"

#include <algorithm>
#include <iterator>

namespace plyfs::policy {
namespace {

using config::BranchMode;
using config::Policy;

// The most preferred of these first, those without space behind them.
void append_ordered(Policy policy, std::vector<Candidate> eligible, std::uint64_t random, std::vector<int>& order) {
    const auto full =
        std::stable_partition(eligible.begin(), eligible.end(), [](const Candidate& c) { return c.available > 0; });
    const std::vector<Candidate> last(full, eligible.end());
    eligible.erase(full, eligible.end());
    sort_by_preference(policy, eligible, random);
    for (const Candidate& c : eligible) order.push_back(c.branch);
    for (const Candidate& c : last) order.push_back(c.branch);
}

Result<std::vector<int>> rank_within(Policy policy, Reach reach, std::span<const Candidate> candidates,
                                     std::uint64_t random) {
    if (refuses(policy)) return Errno(EROFS);
    std::vector<Candidate> eligible;
    int reason = ENOENT;
    for (const Candidate& c : candidates) {
        if (const int error = obstacle(c); error != 0) {
            reason = graver(reason, error);
        } else if (reach != Reach::parent || c.missing_parents == 0) {
            eligible.push_back(c);
        }
    }
    if (eligible.empty()) return Errno(reason);
    std::vector<int> order;
    if (reach != Reach::nearest) {
        append_ordered(policy, std::move(eligible), random, order);
        return order;
    }
    // Those that have the directory, then those that lack one on the way to it, and so on.
    while (!eligible.empty()) {
        const int nearest = std::min_element(eligible.begin(), eligible.end(), [](const auto& a, const auto& b) {
                                return a.missing_parents < b.missing_parents;
                            })->missing_parents;
        const auto farther = std::stable_partition(eligible.begin(), eligible.end(),
                                                   [&](const Candidate& c) { return c.missing_parents == nearest; });
        std::vector<Candidate> rest(farther, eligible.end());
        eligible.erase(farther, eligible.end());
        append_ordered(policy, std::move(eligible), random, order);
        eligible = std::move(rest);
    }
    return order;
}

}  // namespace

int obstacle(const Candidate& candidate) {
    if (candidate.mode != BranchMode::rw || candidate.read_only_fs) return EROFS;
    return candidate.no_inodes || candidate.available < candidate.reserve ? ENOSPC : 0;
}

Result<std::vector<int>> rank(Policy policy, std::span<const Candidate> candidates, std::uint64_t random) {
    return rank_within(policy, reach_of(policy), candidates, random);
}

Result<std::vector<int>> rank_for_copy(Policy policy, std::span<const Candidate> candidates, std::uint64_t random) {
    const Reach reach = reach_of(policy);
    return rank_within(policy, reach == Reach::parent ? Reach::nearest : reach, candidates, random);
}

}  // namespace plyfs::policy

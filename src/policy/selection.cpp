#include "policy/selection.h"

namespace plyfs::policy {

using config::BranchMode;
using config::Policy;

Result<int> select_winner(Policy policy, std::span<const Candidate> holders, std::uint64_t random) {
    if (refuses(policy)) return Errno(EROFS);
    if (holders.empty()) return Errno(ENOENT);
    std::vector<Candidate> ordered(holders.begin(), holders.end());
    sort_by_preference(policy, ordered, random);
    return ordered.front().branch;
}

Result<std::vector<int>> select_changed(Policy policy, std::span<const Candidate> holders, std::uint64_t random) {
    if (refuses(policy)) return Errno(EROFS);
    std::vector<Candidate> eligible;
    for (const Candidate& c : holders) {
        if (c.mode != BranchMode::ro && !c.read_only_fs) eligible.push_back(c);
    }
    if (eligible.empty()) return Errno(holders.empty() ? ENOENT : EROFS);
    if (!takes_all(policy)) {
        sort_by_preference(policy, eligible, random);
        return std::vector<int>{eligible.front().branch};
    }
    std::vector<int> branches;
    for (const Candidate& c : eligible) branches.push_back(c.branch);
    return branches;
}

}  // namespace plyfs::policy

#include "policy/placement.h"

#include <algorithm>

namespace plyfs::policy {
namespace {

using config::BranchMode;
using config::CreatePolicy;

using Chosen = std::vector<Candidate>;
__extension__ typedef unsigned __int128 Wide;

// The next of a sequence that begins with the caller's random number (splitmix64).
std::uint64_t next_random(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

// Which weight a point falls on that lies at random/2^64 of their sum.
template <typename Weight>
std::size_t draw(const Chosen& from, Weight weight, std::uint64_t random) {
    Wide sum = 0;
    for (const Candidate& c : from) sum += weight(c);
    // 64 bits of a sum are enough to be fair, and leave room for the product.
    const int shift = (sum >> 64) != 0 ? 32 : 0;
    sum = 0;
    for (const Candidate& c : from) sum += weight(c) >> shift;
    Wide point = (static_cast<Wide>(random) * sum) >> 64;
    for (std::size_t i = 0; i < from.size(); ++i) {
        const std::uint64_t w = weight(from[i]) >> shift;
        if (point < w) return i;
        point -= w;
    }
    return 0;  // all weights are zero: the earlier branch
}

// One draw after the other, each from what is left.
template <typename Weight>
void draw_order(Chosen& chosen, Weight weight, std::uint64_t random) {
    std::uint64_t state = random;
    for (std::size_t done = 0; done < chosen.size(); ++done) {
        const Chosen left(chosen.begin() + static_cast<std::ptrdiff_t>(done), chosen.end());
        const auto place = static_cast<std::ptrdiff_t>(done + draw(left, weight, random));
        std::rotate(chosen.begin() + static_cast<std::ptrdiff_t>(done), chosen.begin() + place,
                    chosen.begin() + place + 1);
        random = next_random(state);
    }
}

void in_order(Chosen&, std::uint64_t) {}

void most_free_first(Chosen& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const Candidate& a, const Candidate& b) { return a.available > b.available; });
}

void least_free_first(Chosen& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const Candidate& a, const Candidate& b) { return a.available < b.available; });
}

void at_random(Chosen& chosen, std::uint64_t random) {
    draw_order(
        chosen, [](const Candidate&) -> std::uint64_t { return 1; }, random);
}

void at_random_by_free(Chosen& chosen, std::uint64_t random) {
    draw_order(
        chosen, [](const Candidate& c) { return c.available; }, random);
}

struct Policy {
    CreatePolicy name;
    bool keeps_path;  // only branches that have the parent directory
    void (*order)(Chosen&, std::uint64_t random);
};

constexpr Policy kPolicies[] = {
    {CreatePolicy::ff, false, in_order},          {CreatePolicy::mfs, false, most_free_first},
    {CreatePolicy::lfs, false, least_free_first}, {CreatePolicy::rand, false, at_random},
    {CreatePolicy::epmfs, true, most_free_first}, {CreatePolicy::pfrd, false, at_random_by_free},
};

// 0, or why the candidate can not be chosen.
int obstacle(const Policy& policy, const Candidate& c) {
    if (c.mode != BranchMode::rw || c.read_only_fs) return EROFS;
    if (c.no_inodes) return ENOSPC;
    if (policy.keeps_path && !c.has_parent) return ENOENT;
    return 0;
}

int graver(int a, int b) {
    for (int error : {EROFS, ENOSPC, ENOENT}) {
        if (a == error || b == error) return error;
    }
    return ENOENT;
}

}  // namespace

Result<std::vector<int>> rank(CreatePolicy name, std::span<const Candidate> candidates, std::uint64_t random) {
    const Policy& policy =
        *std::find_if(std::begin(kPolicies), std::end(kPolicies), [&](const Policy& p) { return p.name == name; });
    Chosen with_space;
    Chosen full;
    int reason = ENOENT;
    for (const Candidate& c : candidates) {
        const int error = obstacle(policy, c);
        if (error != 0) {
            reason = graver(reason, error);
        } else {
            (c.available > 0 ? with_space : full).push_back(c);
        }
    }
    if (with_space.empty() && full.empty()) return Errno(reason);
    policy.order(with_space, random);
    std::vector<int> order;
    for (const Candidate& c : with_space) order.push_back(c.branch);
    for (const Candidate& c : full) order.push_back(c.branch);
    return order;
}

}  // namespace plyfs::policy

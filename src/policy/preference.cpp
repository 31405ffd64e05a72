#include "policy/preference.h"

#include <algorithm>
#include <cerrno>

#include "base/mix.h"

namespace plyfs::policy {
namespace {

using config::Policy;

using Candidates = std::vector<Candidate>;
__extension__ typedef unsigned __int128 Wide;

// The next of a sequence that begins with the caller's random number (splitmix64).
std::uint64_t next_random(std::uint64_t& state) {
    return mix_bits(state += kMixStep);
}

struct Lot {
    std::uint64_t weight;
    std::size_t place;
};

// Which lot a point falls on that lies at random/2^64 of their sum.
std::size_t draw(std::span<const Lot> lots, Wide sum, std::uint64_t random) {
    // 64 bits of a sum are enough to be fair, and leave room for the product.
    const int shift = (sum >> 64) != 0 ? 32 : 0;
    if (shift != 0) {
        sum = 0;
        for (const Lot& lot : lots) sum += lot.weight >> shift;
    }
    auto point = static_cast<std::uint64_t>((static_cast<Wide>(random) * sum) >> 64);
    for (std::size_t i = 0; i < lots.size(); ++i) {
        const std::uint64_t w = lots[i].weight >> shift;
        if (point < w) return i;
        point -= w;
    }
    return 0;  // all weights are zero: the earlier branch
}

// One draw after the other, each from what is left. A create in a large pool waits for this.
template <typename Weight>
void draw_order(Candidates& chosen, Weight weight, std::uint64_t random) {
    std::uint64_t state = random;
    Wide sum = 0;
    std::vector<Lot> left;
    left.reserve(chosen.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        left.push_back({weight(chosen[i]), i});
        sum += left.back().weight;
    }
    Candidates drawn;
    drawn.reserve(chosen.size());
    while (!left.empty()) {
        const std::size_t lot = draw(left, sum, random);
        sum -= left[lot].weight;
        drawn.push_back(chosen[left[lot].place]);
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(lot));
        random = next_random(state);
    }
    chosen = std::move(drawn);
}

void in_order(Candidates&, std::uint64_t) {}

template <typename Before>
void sort_ties_later(Candidates& chosen, Before before) {
    std::reverse(chosen.begin(), chosen.end());
    std::stable_sort(chosen.begin(), chosen.end(), before);
}

void most_free(Candidates& chosen, std::uint64_t) {
    sort_ties_later(chosen, [](const Candidate& a, const Candidate& b) { return a.available > b.available; });
}

void least_free(Candidates& chosen, std::uint64_t) {
    sort_ties_later(chosen, [](const Candidate& a, const Candidate& b) { return a.available < b.available; });
}

std::uint64_t used(const Candidate& c) {
    return c.total > c.available ? c.total - c.available : 0;
}

void least_used(Candidates& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const Candidate& a, const Candidate& b) { return used(a) < used(b); });
}

// A branch without any size counts as full.
void least_used_share(Candidates& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(), [](const Candidate& a, const Candidate& b) {
        if (a.total == 0 || b.total == 0) return a.total > b.total;
        return static_cast<Wide>(used(a)) * b.total < static_cast<Wide>(used(b)) * a.total;
    });
}

void at_random(Candidates& chosen, std::uint64_t random) {
    draw_order(
        chosen, [](const Candidate&) -> std::uint64_t { return 1; }, random);
}

void at_random_by_free(Candidates& chosen, std::uint64_t random) {
    draw_order(
        chosen, [](const Candidate& c) { return c.available; }, random);
}

void newest(Candidates& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const Candidate& a, const Candidate& b) { return a.modified > b.modified; });
}

void largest(Candidates& chosen, std::uint64_t) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const Candidate& a, const Candidate& b) { return a.size > b.size; });
}

struct Row {
    Policy policy;
    Reach reach;
    void (*order)(Candidates&, std::uint64_t random);
};

// In the order of the enumeration.
constexpr Row kRows[] = {
    {Policy::all, Reach::anywhere, in_order},
    {Policy::epall, Reach::parent, in_order},
    {Policy::epff, Reach::parent, in_order},
    {Policy::eplfs, Reach::parent, least_free},
    {Policy::eplus, Reach::parent, least_used},
    {Policy::epmfs, Reach::parent, most_free},
    {Policy::eppfrd, Reach::parent, at_random_by_free},
    {Policy::eprand, Reach::parent, at_random},
    {Policy::erofs, Reach::anywhere, in_order},
    {Policy::ff, Reach::anywhere, in_order},
    {Policy::largest, Reach::anywhere, largest},
    {Policy::lfs, Reach::anywhere, least_free},
    {Policy::lup, Reach::anywhere, least_used_share},
    {Policy::lus, Reach::anywhere, least_used},
    {Policy::mfs, Reach::anywhere, most_free},
    {Policy::msplfs, Reach::nearest, least_free},
    {Policy::msplus, Reach::nearest, least_used},
    {Policy::mspmfs, Reach::nearest, most_free},
    {Policy::msppfrd, Reach::nearest, at_random_by_free},
    {Policy::newest, Reach::parent, newest},
    {Policy::pfrd, Reach::anywhere, at_random_by_free},
    {Policy::rand, Reach::anywhere, at_random},
};
static_assert(std::size(kRows) == static_cast<std::size_t>(Policy::count_));
static_assert([] {
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
        if (kRows[i].policy != static_cast<Policy>(i)) return false;
    }
    return true;
}());

const Row& row_of(Policy policy) {
    return kRows[static_cast<std::size_t>(policy)];
}

}  // namespace

Reach reach_of(Policy policy) {
    return row_of(policy).reach;
}

bool keeps_to_paths(Policy policy) {
    return reach_of(policy) != Reach::anywhere && policy != Policy::newest;
}

bool takes_all(Policy policy) {
    return policy == Policy::all || policy == Policy::epall;
}

bool refuses(Policy policy) {
    return policy == Policy::erofs;
}

bool wants_space(Policy policy) {
    const auto order = row_of(policy).order;
    return order != in_order && order != newest && order != largest && order != at_random;
}

bool wants_times(Policy policy) {
    return row_of(policy).order == newest;
}

bool is_random(Policy policy) {
    return row_of(policy).order == at_random || row_of(policy).order == at_random_by_free;
}

void sort_by_preference(Policy policy, std::vector<Candidate>& candidates, std::uint64_t random) {
    row_of(policy).order(candidates, random);
}

int graver(int a, int b) {
    for (int error : {EROFS, ENOSPC}) {
        if (a == error || b == error) return error;
    }
    return ENOENT;
}

}  // namespace plyfs::policy

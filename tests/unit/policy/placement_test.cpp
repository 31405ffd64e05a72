#include "policy/placement.h"

#include <doctest/doctest.h>

#include <map>

using namespace plyfs;
using namespace plyfs::config;
using policy::Candidate;
using policy::rank;

namespace {

using Order = std::vector<int>;
constexpr std::uint64_t kGiB = 1ULL << 30;

Candidate disk(int branch, std::uint64_t available, bool has_parent = true) {
    Candidate c;
    c.branch = branch;
    c.available = available;
    c.total = 100 * kGiB;
    c.missing_parents = has_parent ? 0 : 1;
    return c;
}

Candidate with_mode(Candidate c, BranchMode mode) {
    c.mode = mode;
    return c;
}
Candidate on_read_only_fs(Candidate c) {
    c.read_only_fs = true;
    return c;
}
Candidate without_inodes(Candidate c) {
    c.no_inodes = true;
    return c;
}

}  // namespace

TEST_CASE("placement: order by policy") {
    struct Row {
        const char* name;
        Policy policy;
        std::vector<Candidate> candidates;
        Order expected;
    };
    const std::vector<Candidate> three = {disk(0, 5 * kGiB), disk(1, 9 * kGiB), disk(2, 2 * kGiB)};
    const std::vector<Candidate> ties = {disk(0, 5), disk(1, 9), disk(2, 5), disk(3, 9)};
    const Row rows[] = {
        {"ff takes the list's order", Policy::ff, three, {0, 1, 2}},
        {"mfs takes the most free", Policy::mfs, three, {1, 0, 2}},
        {"lfs takes the least free", Policy::lfs, three, {2, 0, 1}},
        {"mfs ties", Policy::mfs, ties, {3, 1, 2, 0}},
        {"lfs ties", Policy::lfs, ties, {2, 0, 3, 1}},
        {"epmfs keeps to branches with the parent", Policy::epmfs, {disk(0, 5), disk(1, 9, false), disk(2, 7)}, {2, 0}},
        {"others do not", Policy::mfs, {disk(0, 5), disk(1, 9, false)}, {1, 0}},
        {"a full branch is the last resort of ff", Policy::ff, {disk(0, 0), disk(1, 1)}, {1, 0}},
        {"and of lfs", Policy::lfs, {disk(0, 0), disk(1, 3), disk(2, 2)}, {2, 1, 0}},
        {"all full", Policy::pfrd, {disk(0, 0), disk(1, 0)}, {0, 1}},
        {"ro, nc, a read-only file system and one without inodes take nothing",
         Policy::ff,
         {with_mode(disk(0, 9), BranchMode::ro), with_mode(disk(1, 9), BranchMode::nc), on_read_only_fs(disk(2, 9)),
          without_inodes(disk(3, 9)), disk(4, 1)},
         {4}},
        {"branch numbers need not be places", Policy::ff, {disk(7, 1), disk(3, 1)}, {7, 3}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        auto order = rank(row.policy, row.candidates, 42);
        REQUIRE(order);
        CHECK(*order == row.expected);
    }
}

TEST_CASE("placement: the gravest reason when nothing is eligible") {
    struct Row {
        const char* name;
        Policy policy;
        std::vector<Candidate> candidates;
        int error;
    };
    const Candidate ro = with_mode(disk(0, 9), BranchMode::ro);
    const Candidate nc = with_mode(disk(0, 9), BranchMode::nc);
    const Candidate full = without_inodes(disk(1, 9));
    const Candidate elsewhere = disk(2, 9, false);
    const Row rows[] = {
        {"no branch at all", Policy::ff, {}, ENOENT},
        {"read-only", Policy::ff, {ro}, EROFS},
        {"no new names", Policy::mfs, {nc}, EROFS},
        {"read-only file system", Policy::pfrd, {on_read_only_fs(disk(0, 9))}, EROFS},
        {"no inodes", Policy::rand, {full}, ENOSPC},
        {"no parent", Policy::epmfs, {elsewhere}, ENOENT},
        {"full before missing", Policy::epmfs, {elsewhere, full}, ENOSPC},
        {"read-only before full", Policy::ff, {full, ro}, EROFS},
        {"read-only before missing", Policy::epmfs, {ro, elsewhere}, EROFS},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        CHECK(rank(row.policy, row.candidates, 42).failed_with(row.error));
    }
}

TEST_CASE("placement: pfrd divides the random numbers by free bytes") {
    // The first draw is exact: the lowest quarter of all numbers falls on the first branch, the rest on the
    // second.
    const std::vector<Candidate> disks = {disk(0, 1 * kGiB), disk(1, 3 * kGiB)};
    const std::uint64_t quarter = 1ULL << 62;
    CHECK((*rank(Policy::pfrd, disks, 0))[0] == 0);
    CHECK((*rank(Policy::pfrd, disks, quarter - 1))[0] == 0);
    CHECK((*rank(Policy::pfrd, disks, quarter))[0] == 1);
    CHECK((*rank(Policy::pfrd, disks, ~0ULL))[0] == 1);
    CHECK(rank(Policy::pfrd, disks, 0)->size() == 2);
}

TEST_CASE("placement: rand divides the random numbers evenly") {
    const std::vector<Candidate> disks = {disk(0, 1), disk(1, 1000 * kGiB), disk(2, 5), disk(3, 7)};
    for (std::uint64_t part = 0; part < 4; ++part) {
        CHECK((*rank(Policy::rand, disks, part << 62))[0] == static_cast<int>(part));
    }
}

TEST_CASE("placement: no sum of sizes overflows") {
    const std::uint64_t huge = ~0ULL;
    const std::vector<Candidate> disks = {disk(0, huge), disk(1, huge), disk(2, huge), disk(3, huge)};
    for (std::uint64_t part = 0; part < 4; ++part) {
        const std::uint64_t middle = (part << 62) + (1ULL << 61);
        CHECK((*rank(Policy::pfrd, disks, middle))[0] == static_cast<int>(part));
    }
}

TEST_CASE("placement: every order holds every eligible branch once, and second choices are spread too") {
    const std::vector<Candidate> disks = {disk(0, 4), disk(1, 4), disk(2, 4)};
    std::map<Order, int> seen;
    std::uint64_t random = 12345;
    for (int i = 0; i < 6000; ++i) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        auto order = rank(Policy::pfrd, disks, random);
        REQUIRE(order);
        ++seen[*order];
    }
    CHECK(seen.size() == 6);
    for (const auto& [order, count] : seen) {
        CHECK(order.size() == 3);
        CHECK(count > 800);
        CHECK(count < 1200);
    }
}

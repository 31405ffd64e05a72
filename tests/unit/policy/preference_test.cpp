// Every policy in its three forms on one set of branches, against a table written by hand from what mergerfs documents.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "policy/placement.h"
#include "policy/rules.h"
#include "policy/selection.h"

using namespace plyfs;
using namespace plyfs::config;
using policy::Candidate;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// Five disks; those that policies choose are all different:
//   most free 3 (the later of two), least free 4, least used bytes 0, least used share 2, newest 1, largest 2 before 4.
std::vector<Candidate> five_disks() {
    const auto disk = [](int branch, std::uint64_t total, std::uint64_t available, std::int64_t modified) {
        Candidate c;
        c.size = branch == 2 ? 9 : static_cast<std::uint64_t>(branch);
        c.branch = branch;
        c.total = total * kMiB;
        c.available = available * kMiB;
        c.modified = modified;
        return c;
    };
    return {disk(0, 100, 80, 10), disk(1, 500, 200, 50), disk(2, 1000, 900, 20), disk(3, 2000, 900, 30),
            disk(4, 1200, 40, 40)};
}

using Chosen = std::vector<int>;

struct Row {
    Policy policy;
    Chosen anywhere;   // create: the directory is on none of the disks
    Chosen in_parent;  // create: it is on 1, 2 and 4
    int winner;        // search: the file is on 1, 2 and 4
    Chosen changed;    // action: the same, and 2 is read-only
};
// For random ones, what is possible.
struct RandomRow {
    Policy policy;
    Chosen anywhere;
    Chosen in_parent;
};

const Row kRows[] = {
    {Policy::all, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, 1, {1, 4}},
    {Policy::epall, {}, {1, 2, 4}, 1, {1, 4}},
    {Policy::epff, {}, {1, 2, 4}, 1, {1}},
    {Policy::eplfs, {}, {4, 1, 2}, 4, {4}},
    {Policy::eplus, {}, {2, 1, 4}, 2, {1}},
    {Policy::epmfs, {}, {2, 1, 4}, 2, {1}},
    {Policy::ff, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, 1, {1}},
    {Policy::largest, {2, 4, 3, 1, 0}, {2, 4, 3, 1, 0}, 2, {4}},
    {Policy::lfs, {4, 0, 1, 3, 2}, {4, 0, 1, 3, 2}, 4, {4}},
    {Policy::lup, {2, 0, 3, 1, 4}, {2, 0, 3, 1, 4}, 2, {1}},
    {Policy::lus, {0, 2, 1, 3, 4}, {0, 2, 1, 3, 4}, 2, {1}},
    {Policy::mfs, {3, 2, 1, 0, 4}, {3, 2, 1, 0, 4}, 2, {1}},
    {Policy::msplfs, {4, 0, 1, 3, 2}, {4, 1, 2, 0, 3}, 4, {4}},
    {Policy::msplus, {0, 2, 1, 3, 4}, {2, 1, 4, 0, 3}, 2, {1}},
    {Policy::mspmfs, {3, 2, 1, 0, 4}, {2, 1, 4, 3, 0}, 2, {1}},
    {Policy::newest, {}, {1, 4, 2}, 1, {1}},
};
const RandomRow kRandom[] = {
    {Policy::eppfrd, {}, {1, 2, 4}},
    {Policy::eprand, {}, {1, 2, 4}},
    {Policy::msppfrd, {0, 1, 2, 3, 4}, {1, 2, 4}},
    {Policy::pfrd, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
    {Policy::rand, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
};

std::vector<Candidate> with_parent_on(const Chosen& branches) {
    auto disks = five_disks();
    for (auto& disk : disks) {
        disk.missing_parents = std::find(branches.begin(), branches.end(), disk.branch) == branches.end() ? 1 : 0;
    }
    return disks;
}

std::vector<Candidate> holders() {
    std::vector<Candidate> out;
    for (const auto& disk : five_disks()) {
        if (disk.branch == 1 || disk.branch == 2 || disk.branch == 4) out.push_back(disk);
    }
    return out;
}

std::vector<Candidate> one_read_only() {
    auto out = holders();
    out[1].mode = BranchMode::ro;
    return out;
}

}  // namespace

TEST_CASE("policies: every one without chance in its three forms") {
    for (const Row& row : kRows) {
        CAPTURE(static_cast<int>(row.policy));
        auto anywhere = policy::rank(row.policy, with_parent_on({}), 7);
        if (row.anywhere.empty()) {
            CHECK(anywhere.failed_with(ENOENT));
        } else {
            REQUIRE(anywhere);
            CHECK(*anywhere == row.anywhere);
        }
        auto in_parent = policy::rank(row.policy, with_parent_on({1, 2, 4}), 7);
        REQUIRE(in_parent);
        CHECK(*in_parent == row.in_parent);
        CHECK(*policy::select_winner(row.policy, holders(), 7) == row.winner);
        CHECK(*policy::select_changed(row.policy, one_read_only(), 7) == row.changed);
    }
}

TEST_CASE("policies: those of chance stay in their bounds and reach all of them") {
    for (const RandomRow& row : kRandom) {
        CAPTURE(static_cast<int>(row.policy));
        std::map<int, int> anywhere, in_parent, winners, changed;
        std::uint64_t random = 99;
        for (int i = 0; i < 4000; ++i) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            if (auto order = policy::rank(row.policy, with_parent_on({}), random)) ++anywhere[order->front()];
            ++in_parent[policy::rank(row.policy, with_parent_on({1, 2, 4}), random)->front()];
            ++winners[*policy::select_winner(row.policy, holders(), random)];
            ++changed[policy::select_changed(row.policy, one_read_only(), random)->front()];
        }
        const auto keys = [](const std::map<int, int>& counts) {
            Chosen out;
            for (const auto& [branch, count] : counts) out.push_back(branch);
            return out;
        };
        CHECK(keys(anywhere) == row.anywhere);
        CHECK(keys(in_parent) == row.in_parent);
        CHECK(keys(winners) == Chosen{1, 2, 4});
        CHECK(keys(changed) == Chosen{1, 4});
    }
}

TEST_CASE("policies: erofs refuses whatever there is") {
    CHECK(policy::rank(Policy::erofs, five_disks(), 7).failed_with(EROFS));
    CHECK(policy::select_winner(Policy::erofs, holders(), 7).failed_with(EROFS));
    CHECK(policy::select_changed(Policy::erofs, holders(), 7).failed_with(EROFS));
}

TEST_CASE("policies: all of them are in the tables") {
    CHECK(std::size(kRows) + std::size(kRandom) + 1 == static_cast<std::size_t>(Policy::count_));
}

TEST_CASE("policies: a branch below its reserve is full for every create policy") {
    auto disks = with_parent_on({0, 1, 2, 3, 4});
    for (auto& disk : disks) disk.reserve = disk.available + 1;
    for (int i = 0; i < static_cast<int>(Policy::count_); ++i) {
        const auto policy = static_cast<Policy>(i);
        CAPTURE(i);
        CHECK(policy::rank(policy, disks, 7).failed_with(policy == Policy::erofs ? EROFS : ENOSPC));
    }
    disks[2].reserve = disks[2].available;
    for (int i = 0; i < static_cast<int>(Policy::count_); ++i) {
        const auto policy = static_cast<Policy>(i);
        if (policy == Policy::erofs) continue;
        CHECK(*policy::rank(policy, disks, 7) == Chosen{2});
    }
}

TEST_CASE("policies: what the mode of a branch forbids") {
    auto disks = holders();
    for (auto& disk : disks) disk.mode = BranchMode::nc;
    CHECK(policy::rank(Policy::ff, disks, 7).failed_with(EROFS));
    CHECK(*policy::select_changed(Policy::epall, disks, 7) == Chosen{1, 2, 4});
    for (auto& disk : disks) disk.mode = BranchMode::ro;
    CHECK(policy::select_changed(Policy::epall, disks, 7).failed_with(EROFS));
    CHECK(*policy::select_winner(Policy::ff, disks, 7) == 1);
    CHECK(policy::select_winner(Policy::mfs, {}, 7).failed_with(ENOENT));
    CHECK(policy::select_changed(Policy::mfs, {}, 7).failed_with(ENOENT));
}

TEST_CASE("policies: the most shared path goes up level by level") {
    auto disks = five_disks();
    for (auto& disk : disks) disk.missing_parents = 3;
    disks[4].missing_parents = 1;
    disks[0].missing_parents = 2;
    CHECK(*policy::rank(Policy::mspmfs, disks, 7) == Chosen{4, 0, 3, 2, 1});
    disks[4].reserve = ~std::uint64_t{0};
    CHECK(*policy::rank(Policy::mspmfs, disks, 7) == Chosen{0, 3, 2, 1});
}

TEST_CASE("rules: the first that fits counts") {
    const auto rule = [](const char* path, const char* name) {
        PlacementRule out;
        out.path = path;
        out.name = name;
        return out;
    };
    std::vector<PlacementRule> rules = {rule("/media/films", ""), rule("/media/*/new", "*.mkv"), rule("", "*.tmp"),
                                        rule("/", "exact")};
    rules[2].uid = 1000;
    const auto first = [&](const char* path, std::uint32_t uid = 0) -> std::ptrdiff_t {
        const auto* found = policy::find_rule(rules, {path, uid, 0});
        return found ? found - rules.data() : -1;
    };
    CHECK(first("/media/films") == 0);
    CHECK(first("/media/films/a/b.mkv") == 0);
    CHECK(first("/media/films2") == -1);
    CHECK(first("/media/x/new/b.mkv") == 1);
    CHECK(first("/media/x/y/new/b.mkv") == -1);
    CHECK(first("/media/x/new/b.avi") == -1);
    CHECK(first("/b.tmp") == -1);
    CHECK(first("/a/b.tmp", 1000) == 2);
    CHECK(first("/a/b/exact") == 3);
    CHECK(first("/a/b/exact.not") == -1);
}

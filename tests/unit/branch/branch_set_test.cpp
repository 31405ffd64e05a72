#include "branch/branch_set.h"

#include <set>
#include <thread>

#include "../overlay/branches.h"

using namespace plyfs;
using namespace plyfs::test;
using config::BranchMode;

namespace {

std::unique_ptr<Branch> branch_on(std::uint64_t device, BranchMode mode = BranchMode::rw,
                                  bool read_only_fs = false) {
    Branch::Parts parts;
    parts.device = device;
    parts.mode = mode;
    parts.read_only_fs = read_only_fs;
    return std::make_unique<Branch>(std::move(parts));
}

BranchSet set_of(std::initializer_list<std::uint64_t> devices) {
    std::vector<std::unique_ptr<Branch>> branches;
    for (auto device : devices) branches.push_back(branch_on(device));
    return BranchSet(std::move(branches));
}

}  // namespace

TEST_CASE("branch set: inode numbers of the first device are its own") {
    const BranchSet set = set_of({10, 20});
    for (std::uint64_t inode : {1ULL, 2ULL, 4294967296ULL, (1ULL << 55) - 1})
        CHECK(set.shown_inode(10, inode) == inode);
    CHECK(set.shown_inode(20, 1) != 1);
}

TEST_CASE("branch set: inode numbers of two devices never meet, also of those found later") {
    const BranchSet set = set_of({10, 20, 30});
    std::set<std::uint64_t> seen;
    constexpr std::uint64_t kDevices = 250;
    for (std::uint64_t device = 1; device <= kDevices; ++device) {
        for (std::uint64_t inode :
             {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{12345678}, (std::uint64_t{1} << 55) - 1}) {
            const auto shown = set.shown_inode(device * 10, inode);
            CHECK_MESSAGE(seen.insert(shown).second, device << " " << inode);
            CHECK((shown >> 63) == 0);  // some programs keep it in a signed type
            CHECK(set.shown_inode(device * 10, inode) == shown);
        }
    }
}

TEST_CASE("branch set: more devices than there are numbers still have stable inode numbers") {
    const BranchSet set = set_of({1});
    std::vector<std::uint64_t> first;
    for (std::uint64_t device = 1; device <= 400; ++device) first.push_back(set.shown_inode(device, 77));
    for (std::uint64_t device = 1; device <= 400; ++device)
        CHECK(set.shown_inode(device, 77) == first[device - 1]);
    CHECK(std::set<std::uint64_t>(first.begin(), first.end()).size() >= 255);
    for (auto shown : first) CHECK(shown != 0);
}

TEST_CASE("branch set: inode numbers that use the top bits") {
    const BranchSet set = set_of({10, 20});
    for (std::uint64_t device : {10u, 20u}) {
        const auto shown = set.shown_inode(device, ~std::uint64_t{0});
        CHECK((shown >> 63) == 0);
        CHECK(set.shown_inode(device, ~std::uint64_t{0}) == shown);
    }
}

TEST_CASE("branch set: many threads that meet new devices agree on their numbers") {
    const BranchSet set = set_of({1});
    std::vector<std::vector<std::uint64_t>> seen(4);
    std::vector<std::thread> threads;
    for (auto& mine : seen) {
        threads.emplace_back([&] {
            for (std::uint64_t device = 1; device < 250; ++device) mine.push_back(set.shown_inode(device, 5));
        });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& mine : seen) CHECK(mine == seen[0]);
    CHECK(std::set<std::uint64_t>(seen[0].begin(), seen[0].end()).size() == seen[0].size());
}

TEST_CASE("branch set: marks are used when something that may not be modified lies below") {
    struct Row {
        const char* branches;  // w rw, n nc, r ro, s rw on a read-only file system
        bool marks;
        bool writable;
    };
    const Row rows[] = {
        {"w", false, true}, {"ww", false, true}, {"wr", true, true},  {"rw", false, true},
        {"r", true, false}, {"rr", true, false}, {"wwr", true, true}, {"rwr", true, true},
        {"n", false, true}, {"nr", true, true},  {"ws", true, true},  {"sw", false, true},
        {"s", true, false}, {"wn", false, true},
    };
    for (const Row& row : rows) {
        INFO(std::string(row.branches));
        std::vector<std::unique_ptr<Branch>> branches;
        for (const char* c = row.branches; *c; ++c) {
            const auto mode = *c == 'n' ? BranchMode::nc : *c == 'r' ? BranchMode::ro : BranchMode::rw;
            branches.push_back(branch_on(1, mode, *c == 's'));
        }
        const BranchSet set(std::move(branches));
        CHECK(set.uses_marks() == row.marks);
        CHECK(set.any_writable() == row.writable);
    }
}

TEST_CASE("branch: modes decide what may be done") {
    struct Row {
        BranchMode mode;
        bool read_only_fs;
        bool writable;
        bool takes_new_names;
    };
    const Row rows[] = {
        {BranchMode::rw, false, true, true},   {BranchMode::rw, true, false, false},
        {BranchMode::nc, false, true, false},  {BranchMode::nc, true, false, false},
        {BranchMode::ro, false, false, false}, {BranchMode::ro, true, false, false},
    };
    for (const Row& row : rows) {
        const auto branch = branch_on(1, row.mode, row.read_only_fs);
        CHECK(branch->writable() == row.writable);
        CHECK(branch->takes_new_names() == row.takes_new_names);
    }
}

TEST_CASE("branch: the first registration settles passthrough, a refusal for good") {
    const auto branch = branch_on(1);
    CHECK(branch->passthrough() == Branch::Passthrough::untried);
    branch->passthrough_works();
    CHECK(branch->passthrough() == Branch::Passthrough::yes);
    branch->passthrough_refused("first reason");
    branch->passthrough_refused("second reason");
    branch->passthrough_works();
    CHECK(branch->passthrough() == Branch::Passthrough::no);
    CHECK(branch->passthrough_reason() == "first reason");
}

TEST_CASE("branch: space of a real directory") {
    ScratchDir scratch;
    const auto branch = make_branch(0, scratch.path(), BranchMode::rw);
    const Space space = branch->space();
    CHECK(space.total > 0);
    CHECK(space.available <= space.total);
    CHECK_FALSE(space.read_only);
}

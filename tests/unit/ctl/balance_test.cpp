#include "ctl/balance_plan.h"

#include <doctest/doctest.h>

#include "ctl/mover.h"

using namespace plyfs::ctl;

TEST_CASE("balance: the fullest gives the emptiest until one of them is as full as all will be") {
    const std::vector<Fullness> branches{{"/a", 10, 100}, {"/b", 50, 100}, {"/c", 90, 100}};
    const auto plan = plan_transfer(branches, 0.02, {}, {}, {});
    REQUIRE(plan);
    CHECK(plan->from == "/a");
    CHECK(plan->to == "/c");
    CHECK(plan->bytes == 40);
    // Of another size: 100 of 300 and 0 of 100 are 75 and 25.
    const auto sizes = plan_transfer({{"/a", 200, 300}, {"/b", 100, 100}}, 0.02, {}, {}, {});
    REQUIRE(sizes);
    CHECK(sizes->bytes == 25);
}

TEST_CASE("balance: one that is full and two that are empty end as full") {
    std::vector<Fullness> branches{{"/a", 100, 400}, {"/b", 400, 400}, {"/c", 400, 400}};
    std::set<std::string> givers, takers;
    while (const auto plan = plan_transfer(branches, 0.02, givers, takers, {})) {
        givers.insert(plan->from);
        takers.insert(plan->to);
        for (auto& branch : branches) {
            if (branch.path == plan->from) branch.available += plan->bytes;
            if (branch.path == plan->to) branch.available -= plan->bytes;
        }
    }
    for (const auto& branch : branches) CHECK(branch.available == 300);
}

TEST_CASE("balance: it ends") {
    const std::vector<Fullness> branches{{"/a", 10, 100}, {"/b", 12, 100}, {"/c", 90, 100}};
    CHECK_FALSE(plan_transfer(branches, 0.9, {}, {}, {}));
    CHECK(plan_transfer(branches, 0.02, {"/a"}, {"/c"}, {"/a"})->from == "/b");
    CHECK_FALSE(plan_transfer(branches, 0.02, {}, {"/a", "/b", "/c"}, {}));
    CHECK_FALSE(plan_transfer(branches, 0.02, {"/a", "/b", "/c"}, {}, {}));
    CHECK_FALSE(plan_transfer({{"/a", 10, 100}}, 0.02, {}, {}, {}));
    CHECK_FALSE(plan_transfer({}, 0.02, {}, {}, {}));
}

TEST_CASE("progress: how far, how fast, how long still") {
    CHECK(progress_text(0, 100, 0) == "[--------------------]   0%  0B of 100B  0B/s");
    CHECK(progress_text(50, 100, 5) == "[##########----------]  50%  50B of 100B  10B/s  0:05 left");
    CHECK(progress_text(100, 100, 10) == "[####################] 100%  100B of 100B  10B/s");
    CHECK(progress_text(1, 7201, 1).find("2:00:00 left") != std::string::npos);
    CHECK(progress_text(5, 0, 1).find("100%") != std::string::npos);
}

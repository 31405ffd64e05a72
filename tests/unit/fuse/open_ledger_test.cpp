#include "fuse/open_ledger.h"

#include <doctest/doctest.h>

#include <string>

#include "sys/shared_memory.h"

using namespace plyfs;
using fuse::OpenLedger;
using Kind = fuse::OpenLedger::Amendment;

TEST_CASE("open ledger: what was changed is true until something else is, a trial until it is proven or given up") {
    auto memory = sys::SharedMemory::make(OpenLedger::bytes());
    REQUIRE(memory);
    OpenLedger ledger(memory->data());
    CHECK(ledger.amendments().empty());
    CHECK_FALSE(ledger.revert());
    for (int i = 0; i < 10; ++i) {
        REQUIRE(ledger.amend("set " + std::to_string(i), Kind::proven));
        CHECK(ledger.amendments() == "set " + std::to_string(i));
        CHECK_FALSE(ledger.is_trial());
    }
    REQUIRE(ledger.amend("trial", Kind::trial));
    CHECK(ledger.is_trial());
    CHECK(OpenLedger(memory->data()).amendments() == "trial");
    CHECK(ledger.revert());
    CHECK(ledger.amendments() == "set 9");
    CHECK_FALSE(ledger.revert());
    REQUIRE(ledger.amend("another", Kind::trial));
    ledger.settle();
    CHECK_FALSE(ledger.is_trial());
    CHECK_FALSE(ledger.revert());
    CHECK(ledger.amendments() == "another");
    CHECK_FALSE(ledger.amend(std::string(std::size_t{2} << 20, 'x'), Kind::proven));
    CHECK(ledger.amendments() == "another");
}

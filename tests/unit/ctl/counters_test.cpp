#include "ctl/counters.h"

#include <doctest/doctest.h>

#include "ctl/text.h"

using namespace plyfs;
using namespace plyfs::ctl;
using control::Latencies;

TEST_CASE("latencies: a time is counted below the bound it is below of") {
    CHECK(Latencies::bucket_of(0) == 0);
    CHECK(Latencies::bucket_of(1023) == 0);
    CHECK(Latencies::bucket_of(1024) == 1);
    CHECK(Latencies::bucket_of(2047) == 1);
    CHECK(Latencies::bucket_of(2048) == 2);
    CHECK(Latencies::bucket_of(~std::uint64_t{0}) == Latencies::kBuckets - 1);
    control::RequestCounters counters;
    for (std::uint64_t took : {500, 1500, 1600, 5000}) counters.took(control::Slot::lookup, took);
    const Latencies latencies = counters.latencies(control::Slot::lookup);
    CHECK(latencies.counts[0] == 1);
    CHECK(latencies.counts[1] == 2);
    CHECK(latencies.counts[3] == 1);
    CHECK(latencies.nanoseconds == 8600);
    CHECK(counters.latencies(control::Slot::open).nanoseconds == 0);
}

TEST_CASE("latencies: percentiles lie between the bounds") {
    Latencies took;
    CHECK(percentile(took, 0.5) == 0);
    took.counts[2] = 100;  // 2 to 4 microseconds
    CHECK(percentile(took, 0.5) == 3072);
    CHECK(percentile(took, 1) == 4096);
    took.counts[10] = 100;
    CHECK(percentile(took, 0.5) == 4096);
    CHECK(percentile(took, 0.75) == Latencies::bound(9) + Latencies::bound(9) / 2);
}

TEST_CASE("counters: what was done between two answers") {
    std::string fault;
    const auto before = Json::read(
        R"({"nanoseconds":1000,"requests":{"open":{"count":5,"nanoseconds":50,"buckets":[5]}},"counts":{"copyups":1}})",
        fault);
    const auto after =
        Json::read(R"({"nanoseconds":3000,"requests":{"open":{"count":8,"nanoseconds":90,"buckets":[7,1]},)"
                   R"("read":{"count":2,"nanoseconds":0,"buckets":[]}},"counts":{"copyups":4}})",
                   fault);
    REQUIRE(before);
    REQUIRE(after);
    const Counters during = Counters::read(*after).since(Counters::read(*before));
    CHECK(during.nanoseconds == 2000);
    CHECK(during.requests("open") == 3);
    CHECK(during.requests("read") == 2);
    CHECK(during.requests("write") == 0);
    CHECK(during.count("copyups") == 3);
    CHECK(during.kinds.at("open").timed() == 3);
    CHECK(during.kinds.at("open").took.counts[1] == 1);
}

TEST_CASE("text: numbers in few characters, columns in line") {
    CHECK(size_text(0) == "0B");
    CHECK(size_text(1023) == "1023B");
    CHECK(size_text(4096) == "4.0K");
    CHECK(size_text(std::uint64_t{17} << 30) == "17G");
    CHECK(size_text((std::uint64_t{1} << 20) - 1) == "1.0M");
    CHECK(duration_text(850) == "0.8us");
    CHECK(duration_text(1500000) == "1.5ms");
    CHECK(duration_text(2500000000) == "2.5s");
    CHECK(table({"A", ">N", "Z"}, {{"long", "1", "x"}, {"s", "100", ""}}) == "A       N  Z\nlong    1  x\ns     100\n");
    CHECK(shown(std::string("a\033[2Jb\n")) == "a\\033[2Jb\\012");
}

#include "base/result.h"

#include <doctest/doctest.h>

#include <memory>

using namespace plyfs;

namespace {
Result<int> half(int n) {
    if (n % 2) return Errno(EINVAL);
    return n / 2;
}
Result<int> quarter(int n) {
    return TRY(half(TRY(half(n))));
}
Status check(int n) {
    TRY(half(n));
    return {};
}
}  // namespace

TEST_CASE("TRY passes values on and returns errors") {
    CHECK(*quarter(8) == 2);
    CHECK(quarter(6).failed_with(EINVAL));
    CHECK(check(2));
    CHECK(check(3).failed_with(EINVAL));
}

TEST_CASE("a Result carries a move-only value") {
    auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
    auto take = [&]() -> Result<int> { return *TRY(make()); };
    CHECK(*take() == 7);
}

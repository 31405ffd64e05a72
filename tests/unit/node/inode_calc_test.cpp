#include "node/inode_calc.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace plyfs;
using config::InodeCalc;

TEST_CASE("inode numbers: what each way makes them of") {
    const auto of = [](InodeCalc calc, bool dir, const char* path, const char* branch, std::uint64_t inode) {
        return calculate_inode(calc, dir, path, branch, inode);
    };
    CHECK(of(InodeCalc::passthrough, false, "/a", "/b1", 7) == 7);
    for (const auto calc : {InodeCalc::path_hash, InodeCalc::path_hash32}) {
        CHECK(of(calc, false, "/a", "/b1", 7) == of(calc, true, "/a", "/b2", 8));
        CHECK(of(calc, false, "/a", "/b1", 7) != of(calc, false, "/b", "/b1", 7));
    }
    for (const auto calc : {InodeCalc::devino_hash, InodeCalc::devino_hash32}) {
        CHECK(of(calc, false, "/a", "/b1", 7) == of(calc, true, "/c", "/b1", 7));
        CHECK(of(calc, false, "/a", "/b1", 7) != of(calc, false, "/a", "/b2", 7));
        CHECK(of(calc, false, "/a", "/b1", 7) != of(calc, false, "/a", "/b1", 8));
    }
    for (const auto calc : {InodeCalc::hybrid_hash, InodeCalc::hybrid_hash32}) {
        CHECK(of(calc, true, "/a", "/b1", 7) == of(calc, true, "/a", "/b2", 8));
        CHECK(of(calc, false, "/a", "/b1", 7) == of(calc, false, "/c", "/b1", 7));
        CHECK(of(calc, false, "/a", "/b1", 7) != of(calc, false, "/a", "/b2", 7));
    }
}

TEST_CASE("inode numbers: 32 bits are 32 bits, and numbers of many names differ") {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 100000; ++i) {
        const std::string path = "/dir/file" + std::to_string(i);
        seen.insert(calculate_inode(InodeCalc::path_hash, false, path, "/b", 1));
        CHECK(calculate_inode(InodeCalc::path_hash32, false, path, "/b", 1) <= 0xffffffff);
        CHECK(calculate_inode(InodeCalc::devino_hash32, false, path, "/b", static_cast<std::uint64_t>(i)) <=
              0xffffffff);
    }
    CHECK(seen.size() == 100000);
}

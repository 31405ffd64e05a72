#include "control/branch_change.h"

#include <doctest/doctest.h>

#include "config/branch_spec.h"
#include "config/error.h"
#include "control/amendments.h"

using namespace plyfs;
using namespace plyfs::control;
using config::BranchMode;

namespace {

Branches some() {
    return config::parse_branches("/a:/b=nc:/c=ro,5%", "/");
}

std::string paths(const Branches& branches) {
    std::string out;
    for (const auto& branch : branches) out += (out.empty() ? "" : ":") + branch.path;
    return out;
}

std::string after(std::string_view text) {
    return paths(changed_branches(some(), text));
}

}  // namespace

TEST_CASE("branch change: mergerfs' words") {
    CHECK(after("/x:/y") == "/x:/y");
    CHECK(after("=/x") == "/x");
    CHECK(after("+/x:/y") == "/a:/b:/c:/x:/y");
    CHECK(after("+>/x") == "/a:/b:/c:/x");
    CHECK(after("+</x:/y") == "/x:/y:/a:/b:/c");
    CHECK(after("-/b") == "/a:/c");
    CHECK(after("-/[ab]") == "/c");
    CHECK(after("-/a:/c") == "/b");
    CHECK(after("-<") == "/b:/c");
    CHECK(after("->") == "/a:/b");
    CHECK(changed_branches(some(), "+/x=NC,1G").back().mode == BranchMode::nc);
    for (const char* bad : {"", "=", "+", "+>", "-", "-/x", "-<x", "->/c", "+/x=zz"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(changed_branches(some(), bad), config::BadValue);
    }
}

TEST_CASE("branch change: a branch leaves by its path, whatever characters that has") {
    Branches odd = config::parse_branches("/a\\*\\:b:/ab", "/");
    CHECK(paths(without_branches(odd, {"/a*:b"})) == "/ab");
    CHECK_THROWS_AS(without_branches(odd, {"/a*"}), config::BadValue);
    CHECK(paths(with_branches(odd, {"x=ro"}, "/base", true)) == "/base/x:/a*:b:/ab");
    CHECK(with_mode(odd, "/ab", BranchMode::ro)[1].mode == BranchMode::ro);
}

TEST_CASE("amendments: what is written is read") {
    CHECK_FALSE(read_amendments("").branches);
    Amendments out;
    out.branches = some();
    (*out.branches)[1].missing = true;
    (*out.branches)[0].path = "/odd \xff\n\"name";
    (*out.branches)[0].min_free = config::MinFree{123, 0.25};
    out.reloaded = out.read_only = true;
    out.mountpoint = "/mount point";
    out.set_option("create", "lfs");
    out.set_option("cache.attr", "1");
    out.set_option("create", "mfs");
    const Amendments back = read_amendments(out.write());
    REQUIRE(back.branches);
    REQUIRE(back.branches->size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK((*back.branches)[i].path == (*out.branches)[i].path);
        CHECK((*back.branches)[i].mode == (*out.branches)[i].mode);
        CHECK((*back.branches)[i].min_free == (*out.branches)[i].min_free);
        CHECK((*back.branches)[i].missing == (*out.branches)[i].missing);
    }
    CHECK(back.reloaded);
    CHECK(back.read_only);
    CHECK(back.mountpoint == out.mountpoint);
    CHECK(back.options == out.options);
    CHECK(back.options == std::vector<std::pair<std::string, std::string>>{{"cache.attr", "1"}, {"create", "mfs"}});
}

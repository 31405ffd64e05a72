#include "config/branch_spec.h"

#include <doctest/doctest.h>

#include "config/error.h"

using namespace plyfs::config;

TEST_CASE("branch lists: modes, escapes and relative paths") {
    struct Row {
        const char* written;
        std::vector<std::pair<std::string, BranchMode>> expected;
    };
    const Row rows[] = {
        {"/a", {{"/a", BranchMode::rw}}},
        {"/a=RO:/b=rw:/c=Nc", {{"/a", BranchMode::ro}, {"/b", BranchMode::rw}, {"/c", BranchMode::nc}}},
        {"rel:./x/../y//", {{"/home/u/rel", BranchMode::rw}, {"/home/u/x/../y", BranchMode::rw}}},
        {"/a\\:b=ro:/c", {{"/a:b", BranchMode::ro}, {"/c", BranchMode::rw}}},
        {"/a\\=b", {{"/a=b", BranchMode::rw}}},
        {"/a\\=b=nc", {{"/a=b", BranchMode::nc}}},
        {"/a=x=ro", {{"/a=x", BranchMode::ro}}},
        {"/a\\\\:/b", {{"/a\\", BranchMode::rw}, {"/b", BranchMode::rw}}},
        {"/", {{"/", BranchMode::rw}}},
        {".=ro", {{"/home/u", BranchMode::ro}}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.written);
        const auto specs = parse_branches(row.written, "/home/u");
        REQUIRE(specs.size() == row.expected.size());
        for (std::size_t i = 0; i < specs.size(); ++i) {
            CHECK(specs[i].path == row.expected[i].first);
            CHECK(specs[i].mode == row.expected[i].second);
        }
    }
    CHECK(parse_branches("/a=ro:b", "/")[1].written == "b");
    CHECK(parse_branches("b", "/")[0].path == "/b");
}

TEST_CASE("branch lists: what is refused") {
    for (const char* bad : {"", ":", "/a:", ":/a", "/a::/b", "/a=rx", "/a=", "=ro", "/a=RW,", "/a=RW,50X", "/a=RW,-1",
                            "/a=RW,101%", "/a=50G"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_branches(bad, "/"), BadValue);
    }
}

TEST_CASE("lower lists: leftmost first, no modes, data-only layers after '::'") {
    using Paths = std::vector<std::string>;
    CHECK(parse_layers("/a:b:/c\\:d", "/base").lowers == Paths{"/a", "/base/b", "/c:d"});
    CHECK(parse_layers("/a=ro", "/").lowers == Paths{"/a=ro"});
    CHECK(parse_layers("/a", "/").data.empty());
    const LayerPaths both = parse_layers("/a:b::c::/d\\:e", "/base");
    CHECK(both.lowers == Paths{"/a", "/base/b"});
    CHECK(both.data == Paths{"/base/c", "/d:e"});
    for (const char* bad : {"", ":/a", "/a:", "::/a", "/a::", "/a:::/b", "/a::/b:/c"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_layers(bad, "/"), BadValue);
    }
}

TEST_CASE("a mode's name reads back") {
    for (BranchMode mode : {BranchMode::rw, BranchMode::ro, BranchMode::nc}) {
        CHECK(parse_mode(mode_name(mode)) == mode);
    }
}

TEST_CASE("branch lists: free space of a branch") {
    const auto specs = parse_branches("/a=RW,50G:/b=nc,5%:/c=ro:/d\\,x\\=y,z=rw,1k", "/");
    REQUIRE(specs.size() == 4);
    CHECK(specs[0].min_free == MinFree{50ULL << 30, std::nullopt});
    CHECK(specs[1].min_free == MinFree{std::nullopt, 0.05});
    CHECK_FALSE(specs[2].min_free);
    CHECK(specs[3].path == "/d,x=y,z");
    CHECK(specs[3].min_free == MinFree{1024, std::nullopt});
}

TEST_CASE("branch lists: patterns, and what of them is escaped") {
    struct Row {
        const char* written;
        const char* path;
        bool pattern;
    };
    const Row rows[] = {
        {"/mnt/disk*", "/mnt/disk*", true}, {"/mnt/disk\\*", "/mnt/disk*", false},
        {"/m/[ab]/x?", "/m/[ab]/x?", true}, {"/m/a\\[1\\]*", "/m/a\\[1\\]*", true},
        {"/m/a\\:b*", "/m/a:b*", true},     {"rel*", "/home/a\\[1\\]/rel*", true},
        {"~/d", "/home/a[1]/~/d", false},   {"/a]", "/a]", false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.written);
        const BranchSpec spec = parse_branch(std::string(row.written) + "=rw", "/home/a[1]");
        CHECK(spec.path == row.path);
        CHECK(spec.pattern == row.pattern);
        CHECK(spec.written == std::string(row.written) + "=rw");
    }
}

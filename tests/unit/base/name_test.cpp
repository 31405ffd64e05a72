#include "base/name.h"

#include <doctest/doctest.h>

#include <string>

using plyfs::Name;

TEST_CASE("a Name is exactly one path component") {
    for (const char* ok : {"a", "..a", "...", ".wh.x", "with space", "\xff\xfe", "new\nline"}) {
        CAPTURE(ok);
        auto name = Name::parse(ok);
        REQUIRE(name);
        CHECK(name->view() == ok);
    }
    for (const char* bad : {"", ".", "..", "a/b", "/", "a/"}) {
        CAPTURE(bad);
        CHECK(Name::parse(bad).failed_with(EINVAL));
    }
    CHECK(Name::parse(std::string_view("a\0b", 3)).failed_with(EINVAL));
}

TEST_CASE("a Name has at most 255 bytes") {
    CHECK(Name::parse(std::string(255, 'x')));
    CHECK(Name::parse(std::string(256, 'x')).failed_with(ENAMETOOLONG));
}

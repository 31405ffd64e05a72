#include "app/unit_text.h"

#include <doctest/doctest.h>

using namespace plyfs::app;

TEST_CASE("unit text: names of mount units are those of systemd-escape") {
    CHECK(mount_unit("/") == "-.mount");
    CHECK(mount_unit("/srv/pool") == "srv-pool.mount");
    CHECK(mount_unit("//srv//pool/") == "srv-pool.mount");
    CHECK(mount_unit("/srv/my pool") == "srv-my\\x20pool.mount");
    CHECK(mount_unit("/srv/a-b_c:d.e") == "srv-a\\x2db_c:d.e.mount");
    CHECK(mount_unit("/.hidden/.too") == "\\x2ehidden-.too.mount");
    CHECK(mount_unit("/\xc3\xa4") == "\\xc3\\xa4.mount");
}

TEST_CASE("unit text: what a unit can be named after") {
    CHECK(fits_unit_name("pool-2_a.b:c"));
    for (const char* name : {"", "my pool", "a/b", "pool@2"}) CHECK_FALSE(fits_unit_name(name));
}

TEST_CASE("unit text: words of lists") {
    CHECK(unit_word("/srv/my disk") == "\"/srv/my disk\"");
    CHECK(unit_word("/a\"b\\c") == "\"/a\\\"b\\\\c\"");
    CHECK(unit_word("/100%") == "\"/100%%\"");
    CHECK(unit_word("/two\nlines").empty());
}

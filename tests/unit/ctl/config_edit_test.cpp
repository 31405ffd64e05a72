// One option changed in the text of a configuration file.
#include "ctl/config_edit.h"

#include <doctest/doctest.h>

#include "ctl/failure.h"

using namespace plyfs::ctl;

TEST_CASE("config edit: the line that says it changes, and nothing else") {
    const std::string text =
        "# A pool.\nbranches:\n  - /a\n  - {path: /b, minfreespace: 1G}\nminfreespace: 20G  # enough\ncreate: \"mfs\" "
        "# here\n";
    CHECK(with_option(text, "minfreespace", "10%") ==
          "# A pool.\nbranches:\n  - /a\n  - {path: /b, minfreespace: 1G}\nminfreespace: 10%  # enough\ncreate: "
          "\"mfs\" # "
          "here\n");
    CHECK(
        with_option(text, "category.create", "ff") ==
        "# A pool.\nbranches:\n  - /a\n  - {path: /b, minfreespace: 1G}\nminfreespace: 20G  # enough\ncategory.create: "
        "ff # here\n");
    CHECK(with_option(text, "moveonenospc", "false") == text + "moveonenospc: false\n");
    CHECK(with_option("cache_statfs: 1", "cache.statfs", "5") == "cache_statfs: 1\ncache.statfs: 5\n");
    CHECK(with_option("minfreespace: 1G", "minfreespace", "2G") == "minfreespace: 2G\n");
    CHECK(with_option("fsname: x\n", "fsname", "a: \"b\" #") == "fsname: \"a: \\\"b\\\" #\"\n");
    CHECK(with_option("", "create", "ff") == "create: ff\n");
}

TEST_CASE("config edit: mergerfs' lines, and what is not for a program") {
    CHECK(with_option("# x\nminfreespace=4G\nfsname=pool\n", "minfreespace", "1G") ==
          "# x\nminfreespace=1G\nfsname=pool\n");
    CHECK(with_option("fsname=pool\n", "create", "ff") == "fsname=pool\ncreate=ff\n");
    CHECK_THROWS_AS(with_option("branches:\n  - /a\n", "branches", "/b"), Failure);
    CHECK_THROWS_AS(with_option("branches: [/a,\n  /b]\n", "branches", "/b"), Failure);
}

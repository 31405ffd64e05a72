#include "config/key_values.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace plyfs::config;

namespace {

Draft read(const std::string& text) {
    Draft draft;
    draft.base = "/base/";
    read_key_values(text, "pool.conf", draft);
    return draft;
}

}  // namespace

TEST_CASE("key=value files are told from YAML by what they begin with") {
    for (const char* text : {"branches=/a:/b\n", "# x\n\n  cache.files = off\n", "category.create=mfs # c\n",
                             "minfreespace=4G\nbranches: no\n"}) {
        CAPTURE(text);
        CHECK(is_key_values(text));
    }
    for (const char* text : {"", "# x\n", "branches: /a:/b\n", "branches:\n  - /a=rw\n", "{branches: [/a=ro]}\n",
                             "no_such=1\n", "create: mfs\nminfreespace=4G\n", "ro\n"}) {
        CAPTURE(text);
        CHECK_FALSE(is_key_values(text));
    }
}

TEST_CASE("key=value files: each line is an option, faults are told with their line") {
    Draft draft = read("# comment\nbranches = /a:/b=RO\n\ncategory.create=mfs\n\tallow_other\nfsname=a,b\n");
    CHECK(draft.errors == std::vector<std::string>{});
    REQUIRE(draft.branches);
    CHECK(draft.branches->size() == 2);
    CHECK((*draft.branches)[1].mode == BranchMode::ro);
    CHECK(draft.config.pool.policies.of(Function::create) == Policy::mfs);
    CHECK(draft.config.fsname == "a,b");
    draft = read("cache.fils=off\nminfreespace=x\nconfig=\n");
    REQUIRE(draft.errors.size() == 3);
    CHECK(draft.errors[0].rfind("pool.conf:1: cache.fils: ", 0) == 0);
    CHECK(draft.errors[0].find("did you mean 'cache.files'") != std::string::npos);
    CHECK(draft.errors[1].rfind("pool.conf:2: minfreespace: 'x'", 0) == 0);
    CHECK(draft.errors[2].rfind("pool.conf:3: config: ", 0) == 0);
}

#include "overlay/dir_watch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "branches.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

bool made(const DirNews& news, const char* name, BranchIndex branch) {
    const auto branches = news.made(name);
    return std::find(branches.begin(), branches.end(), branch) != branches.end();
}

}  // namespace

TEST_CASE("directory watch: names made since a directory is followed, and of no other") {
    ScratchDir scratch;
    for (const char* dir : {"a", "b", "c"}) make_dir(scratch / dir);
    const auto watch = DirWatch::make(100);
    REQUIRE(watch);
    write_file(scratch / "a/before", "");
    DirNews names(watch);
    CHECK(names.follow(0, open_dir(scratch / "a")));
    CHECK(names.follow(1, open_dir(scratch / "b")));
    write_file(scratch / "a/one", "");
    write_file(scratch / "b/two", "");
    write_file(scratch / "c/three", "");
    CHECK_FALSE(made(names, "one", 0));  // not heard yet
    CHECK(names.catch_up());
    CHECK(made(names, "one", 0));
    CHECK_FALSE(made(names, "one", 1));
    CHECK(made(names, "two", 1));
    CHECK_FALSE(made(names, "before", 0));
    CHECK_FALSE(made(names, "three", 0));
}

TEST_CASE("directory watch: that something changed is told once") {
    ScratchDir scratch;
    make_dir(scratch / "a");
    make_dir(scratch / "b");
    DirNews news(DirWatch::make(100));
    CHECK(news.follow(0, open_dir(scratch / "a")));
    CHECK(news.follow(1, open_dir(scratch / "b")));
    write_file(scratch / "a/one", "");
    REQUIRE(::unlink((scratch / "a/one").c_str()) == 0);
    CHECK(news.catch_up());
    CHECK(news.take_changes() == std::unordered_set<BranchIndex>{0});
    CHECK(news.take_changes().empty());
    REQUIRE(::chmod((scratch / "b").c_str(), 0700) == 0);
    CHECK(news.catch_up());
    CHECK(news.take_changes() == std::unordered_set<BranchIndex>{1});
}

TEST_CASE("directory watch: a mark that hides a name counts as the name") {
    ScratchDir scratch;
    make_dir(scratch / "a");
    DirNews names(DirWatch::make(100));
    CHECK(names.follow(0, open_dir(scratch / "a")));
    write_file(scratch / "a/.wh.hidden", "");
    CHECK(names.catch_up());
    CHECK(made(names, "hidden", 0));
}

TEST_CASE("directory watch: two follow one directory, and one leaves") {
    ScratchDir scratch;
    make_dir(scratch / "a");
    const auto watch = DirWatch::make(100);
    DirNews stays(watch);
    CHECK(stays.follow(0, open_dir(scratch / "a")));
    {
        DirNews leaves(watch);
        CHECK(leaves.follow(4, open_dir(scratch / "a")));
        write_file(scratch / "a/one", "");
        CHECK(leaves.catch_up());
        CHECK(made(leaves, "one", 4));
    }
    write_file(scratch / "a/two", "");
    CHECK(stays.catch_up());
    CHECK(made(stays, "one", 0));
    CHECK(made(stays, "two", 0));
}

TEST_CASE("directory watch: the oldest make room for others and know that they missed something") {
    ScratchDir scratch;
    for (const char* dir : {"a", "b", "c"}) make_dir(scratch / dir);
    const auto watch = DirWatch::make(2);
    DirNews first(watch);
    DirNews second(watch);
    DirNews third(watch);
    CHECK(first.follow(0, open_dir(scratch / "a")));
    CHECK(second.follow(0, open_dir(scratch / "b")));
    CHECK(third.follow(0, open_dir(scratch / "c")));
    CHECK(first.missed());
    CHECK_FALSE(first.catch_up());
    CHECK(second.catch_up());
    CHECK(third.catch_up());
    // One alone may not have more than all.
    DirNews greedy(watch);
    for (const char* dir : {"a", "b"}) CHECK(greedy.follow(0, open_dir(scratch / dir)));
    CHECK_FALSE(greedy.follow(0, open_dir(scratch / "c")));
    watch->distrust_all();
    CHECK_FALSE(greedy.catch_up());
}

TEST_CASE("directory watch: a directory that is removed") {
    ScratchDir scratch;
    make_dir(scratch / "a");
    DirNews names(DirWatch::make(100));
    CHECK(names.follow(0, open_dir(scratch / "a")));
    CHECK(names.catch_up());
    REQUIRE(::rmdir((scratch / "a").c_str()) == 0);
    CHECK_FALSE(names.catch_up());
}

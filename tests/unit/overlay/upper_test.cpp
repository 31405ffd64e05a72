#include "overlay/upper.h"

#include "branches.h"
#include "overlay/workdir.h"

using namespace plyfs;
using namespace plyfs::test;

TEST_CASE("work directory: the mark of a volatile mount is overlayfs', and found again") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    const Name work = name_of("work");
    CHECK(*find_incompatible(open_dir(scratch.path()), work) == "");
    auto opened = WorkDir::open(open_dir(scratch.path()), work);
    REQUIRE(opened);
    CHECK(*find_incompatible(open_dir(scratch.path()), work) == "");
    REQUIRE(mark_volatile((*opened)->fd()));
    REQUIRE(mark_volatile((*opened)->fd()));
    CHECK(exists(scratch / "work/incompat/volatile/dirty"));
    CHECK(*find_incompatible(open_dir(scratch.path()), work) == "volatile");
}

TEST_CASE("an upper's file system: what ours lacks is nothing") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    make_dir(scratch / "work");
    CHECK(find_lacks(open_dir(scratch.path()), name_of("work")).empty());
}

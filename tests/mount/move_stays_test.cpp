// When a file stays on its full branch, whole and as it was: nobody may lose a byte by a move, so whatever can not come
// along keeps it there, and who writes is told ENOSPC.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <cstring>

#include "mount/full_disks.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kMiB = 1 << 20;
const std::string kBefore = pattern(2 * kMiB, 1);
const std::string kMore = pattern(3 * kMiB, 2);

// A file in the pool that is open for writing when its disk is full.
UniqueFd open_full(FullDisks& disks, const std::string& name = "f") {
    UniqueFd file = open_file(disks / name, O_CREAT | O_RDWR);
    write_fd(file.get(), kBefore, 0);
    OK(::fsync(file.get()));
    disks.fill('a', kMiB / 2);
    return file;
}

void check_stays(FullDisks& disks, int file, int error = ENOSPC, const std::string& name = "f") {
    CHECK(try_write(file, kMore, static_cast<off_t>(kBefore.size())) == error);
    FAILS(error, ::fallocate(file, 0, 0, static_cast<off_t>(6 * kMiB)));
    CHECK(disks.moves() == 0);
    CHECK(exists(disks.at('a', name)));
    CHECK((read_fd(file, 0, kBefore.size()) == kBefore));
    CHECK((read_file(disks.at('a', name)).substr(0, kBefore.size()) == kBefore));
}

}  // namespace

TEST_CASE("move: nowhere to go") {
    SUBCASE("all disks are full") {
        FullDisks disks;
        disks.start();
        UniqueFd file = open_full(disks);
        for (char disk : {'b', 'c'}) disks.fill(disk, kMiB);
        check_stays(disks, file.get());
        CHECK(disks.where("f") == "a");
    }
    SUBCASE("the others keep more free") {
        FullDisks disks;
        disks.start(std::string(kAllCaught) + ",minfreespace=12M");
        UniqueFd file = open_full(disks);
        for (char disk : {'b', 'c'}) disks.fill(disk, 10 * kMiB);
        check_stays(disks, file.get());
        CHECK(disks.where("f") == "a");
    }
    SUBCASE("it is switched off") {
        FullDisks disks;
        disks.start(std::string(kAllCaught) + ",moveonenospc=false");
        UniqueFd file = open_full(disks);
        check_stays(disks, file.get());
    }
    SUBCASE("the policy is erofs") {
        FullDisks disks;
        disks.start(std::string(kAllCaught) + ",moveonenospc=erofs");
        UniqueFd file = open_full(disks);
        check_stays(disks, file.get());
    }
    SUBCASE("there is room when it comes to copying, but not for all of it") {
        FullDisks disks;
        disks.start(std::string(kAllCaught) + ",cache.statfs=3600");
        UniqueFd file = open_full(disks);
        CHECK(try_open(disks / "g", O_CREAT | O_WRONLY) == 0);  // all are looked at
        for (char disk : {'b', 'c'}) disks.fill(disk, kMiB);
        check_stays(disks, file.get());
        CHECK(disks.where("f") == "a");
    }
}

TEST_CASE("move: a hard link with a name that is not known stays whole") {
    FullDisks disks;
    disks.start();
    UniqueFd file = open_full(disks);
    OK(::link(disks.at('a', "f").c_str(), disks.at('a', "other").c_str()));
    check_stays(disks, file.get());
    // Once its other name was met both go.
    CHECK(stat_of(disks / "other").st_nlink == 2);
    write_fd(file.get(), kMore, static_cast<off_t>(kBefore.size()));
    CHECK(disks.where("f") == "b");
    CHECK(disks.where("other") == "b");
    CHECK((read_file(disks / "other") == kBefore + kMore));
}

TEST_CASE("move: a name that other branches have as well stays") {
    FullDisks disks;
    disks.start();
    UniqueFd file = open_full(disks);
    write_file(disks.at('c', "f"), "another");
    check_stays(disks, file.get());
    OK(::unlink(disks.at('c', "f").c_str()));
    // What it was copied up from does not matter while it is hidden by a branch above.
    const std::string archive = disks.scratch.dir("archive");
    write_file(archive + "/g", kBefore);
    file.reset();
    disks.free('a');
    disks.start(kAllCaught, ":" + archive + "=ro");
    file = open_file(disks / "g", O_RDWR);
    write_fd(file.get(), "G", 0);
    REQUIRE(disks.where("g") == "a");
    disks.fill('a', kMiB / 2);
    write_fd(file.get(), kMore, static_cast<off_t>(kBefore.size()));
    CHECK(disks.where("g") == "b");
    CHECK((read_file(disks / "g") == "G" + kBefore.substr(1) + kMore));
    CHECK((read_file(archive + "/g") == kBefore));
}

TEST_CASE("move: an append-only file stays") {
    need_privilege("inode flags");
    FullDisks disks;
    disks.start();
    UniqueFd file = open_full(disks);
    must_run({"chattr", "+a", disks / "f"});
    UniqueFd end = open_file(disks / "f", O_WRONLY | O_APPEND);
    std::size_t written = 0;
    while (::write(end.get(), kMore.data() + written, 65536) == 65536) written += 65536;
    CHECK(errno == ENOSPC);
    CHECK(written > 0);
    CHECK(disks.where("f") == "a");
    CHECK((read_file(disks / "f") == kBefore + kMore.substr(0, written)));
    CHECK(disks.moves() == 0);
    must_run({"chattr", "-a", disks / "f"});
}

TEST_CASE("move: above the reserve writes pass through, below it they are caught") {
    need_privilege("passthrough");
    FullDisks disks;
    disks.start("minfreespace=0,create=ff,cache.statfs=0,moveonenospc=ff,moveonenospc-reserve=25%");
    Counter count(disks.mnt);
    UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
    write_fd(file.get(), kBefore, 0);
    CHECK(count.served() == 0);
    disks.fill('a', kMiB);
    {
        // Who opens it beside that one has it in passthrough as well, and nobody sees what the kernel is told.
        UniqueFd second = open_file(disks / "f", O_WRONLY);
        CHECK(try_write(second.get(), kMore, static_cast<off_t>(kBefore.size())) == ENOSPC);
        FAILS(ENOSPC, ::fallocate(second.get(), 0, 0, static_cast<off_t>(6 * kMiB)));
        CHECK(count.served() == 0);
        CHECK(disks.where("f") == "a");
    }
    file.reset();
    CHECK(disks.mount->backings_settle());
    // Readers pass through whatever is free.
    CHECK((read_file(disks / "f").substr(0, kBefore.size()) == kBefore));
    CHECK(count.served() == 0);
    CHECK(disks.mount->backings_settle());
    OK(::truncate((disks / "f").c_str(), static_cast<off_t>(kBefore.size())));
    disks.fill('a', kMiB);
    file = open_file(disks / "f", O_RDWR);
    write_fd(file.get(), kMore, static_cast<off_t>(kBefore.size()));
    CHECK(disks.where("f") == "b");
    CHECK(count("moves") == 1);
    CHECK((read_fd(file.get()) == kBefore + kMore));
    // There it has room again.
    file.reset();
    Counter after(disks.mnt);
    file = open_file(disks / "f", O_RDWR);
    write_fd(file.get(), "again", 0);
    CHECK(after.served() == 0);
}

TEST_CASE("move: no store through a map is lost that outlived its passthrough open") {
    need_privilege("passthrough");
    for (int protection : {PROT_READ | PROT_WRITE, PROT_READ}) {
        CAPTURE(protection);
        FullDisks disks;
        disks.start("minfreespace=0,create=ff,cache.statfs=0,moveonenospc=ff,moveonenospc-reserve=25%");
        UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
        write_fd(file.get(), kBefore, 0);
        void* map = ::mmap(nullptr, kBefore.size(), protection, MAP_SHARED, file.get(), 0);
        REQUIRE(map != MAP_FAILED);
        file.reset();
        CHECK(disks.mount->backings_settle());
        disks.fill('a', kMiB / 2);
        file = open_file(disks / "f", O_RDWR);
        check_stays(disks, file.get());
        if (protection & PROT_WRITE) {
            std::memcpy(map, "stored", 6);
            CHECK(read_fd(file.get(), 0, 6) == "stored");
        } else {
            write_fd(file.get(), "stored", 0);
            CHECK(std::memcmp(map, "stored", 6) == 0);
        }
        OK(::munmap(map, kBefore.size()));
        write_fd(file.get(), kMore, static_cast<off_t>(kBefore.size()));
        CHECK(disks.where("f") == "b");
        CHECK((read_fd(file.get()) == "stored" + kBefore.substr(6) + kMore));
    }
}

TEST_CASE("move: with locks that are forwarded, not while one is held") {
    FullDisks disks;
    disks.start(std::string(kAllCaught) + ",locks=forward");
    UniqueFd file = open_full(disks);
    SUBCASE("flock") {
        OK(::flock(file.get(), LOCK_SH));
        check_stays(disks, file.get());
        OK(::flock(file.get(), LOCK_UN));
    }
    SUBCASE("a range") {
        struct flock range = {};
        range.l_type = F_WRLCK;
        range.l_len = 10;
        UniqueFd locker = open_file(disks / "f", O_RDWR);
        OK(::fcntl(locker.get(), F_SETLK, &range));
        check_stays(disks, file.get());
        locker.reset();
    }
    write_fd(file.get(), kMore, static_cast<off_t>(kBefore.size()));
    CHECK(disks.where("f") == "b");
    OK(::flock(file.get(), LOCK_EX));
    CHECK((read_fd(file.get()) == kBefore + kMore));
}

TEST_CASE("move: a quota that is exhausted is a full branch") {
    need_privilege("quotas");
    if (!have_tool("btrfs")) skip("no btrfs tool here");
    Scratch scratch;
    LoopFs one("btrfs", scratch.path(), "one", 320), two("ext4", scratch.path(), "two", 32);
    must_run({"btrfs", "quota", "enable", one.path()});
    must_run({"btrfs", "subvolume", "create", one / "v"});
    must_run({"btrfs", "qgroup", "limit", "4M", one / "v"});
    const std::string mnt = scratch.dir("mnt");
    Mount mount(std::string(kAllCaught), one / "v:" + two.path(), mnt);
    const std::string content = pattern(8 * kMiB, 3);
    UniqueFd file = open_file(mnt + "/f", O_CREAT | O_RDWR);
    for (std::size_t at = 0; at < content.size(); at += kMiB) {
        write_fd(file.get(), content.substr(at, kMiB), static_cast<off_t>(at));
        OK(::fsync(file.get()));  // where a write was only reserved it is counted then
    }
    CHECK(mount.stats()["moves"] == 1);
    CHECK(exists(two / "f"));
    CHECK((read_fd(file.get()) == content));
    // Creating where the quota is used up goes on to the next one too.
    UniqueFd fill = open_file(one / "v/fill", O_CREAT | O_WRONLY);
    while (::write(fill.get(), content.data(), 65536) > 0 && ::fsync(fill.get()) == 0) {
    }
    for (int i = 0; i < 20; ++i) write_file(mnt + "/n" + std::to_string(i), std::string(5000, 'x'));
}

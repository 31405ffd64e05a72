// A file that is open stays usable whatever becomes of its name on the branch, by whoever goes there directly.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <optional>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

struct Ground {
    explicit Ground(const std::string& options) : disk("tmpfs", scratch.path(), "disk", 64) {
        if (is_standin()) skip("about plyfs itself");
        for (const char* name : {"a/d", "b"}) make_dirs(disk / name);
        write_file(on("f"), "one", 0640);
        mount.emplace("minfreespace=0,create=ff,attr_timeout=0" + options, disk / "a" + ":" + disk / "b",
                      scratch.dir("mnt"));
    }
    std::string on(const std::string& name) const { return disk / "a/d/" + name; }
    std::string operator/(const std::string& name) const { return *mount / "d/" + name; }
    Scratch scratch;
    LoopFs disk;
    std::optional<Mount> mount;
};

// Everything that can be done by a descriptor.
void use(int fd, nlink_t links) {
    struct stat st;
    REQUIRE(::fstat(fd, &st) == 0);
    CHECK(st.st_nlink == links);
    CHECK(read_fd(fd) == "one");
    write_fd(fd, "TWO", 0);
    CHECK(read_fd(fd) == "TWO");
    OK(::ftruncate(fd, 2));
    CHECK(read_fd(fd) == "TW");
    OK(::posix_fallocate(fd, 0, 100));
    OK(::fchmod(fd, 0604));
    OK(::fsetxattr(fd, "user.mine", "x", 1, 0));
    char value;
    CHECK(::fgetxattr(fd, "user.mine", &value, 1) == 1);
    const struct timespec times[2] = {{1, 0}, {1000000000, 0}};
    OK(::futimens(fd, times));
    OK(::fsync(fd));
    CHECK(stat_of(fd).st_size == 100);
    CHECK((stat_of(fd).st_mode & 07777) == 0604);
    CHECK(stat_of(fd).st_mtim.tv_sec == 1000000000);
    // Also by a link that leads to it, not to its name.
    const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR));
    CHECK(again.valid());
    CHECK(read_fd(again.get(), 0, 2) == "TW");
}

const std::string kServed[] = {"", ",passthrough=off", ",passthrough=off,direct_io"};

}  // namespace

TEST_CASE("open files: usable when the name was removed on the branch") {
    for (const std::string& options : kServed) {
        CAPTURE(options);
        Ground g(options);
        UniqueFd fd = open_file(g / "f", O_RDWR);
        OK(::unlink(g.on("f").c_str()));
        use(fd.get(), 0);
        nap(1100);  // what the kernel remembers of the name
        CHECK_FALSE(exists(g / "f"));
        CHECK(read_fd(fd.get(), 0, 2) == "TW");
        CHECK((stat_of(fd.get()).st_mode & 07777) == 0604);
        // With its last opener the file goes.
        fd.reset();
        CHECK(eventually([&] { return err_of(::access((g / "f").c_str(), F_OK)) == ENOENT; }));
    }
}

TEST_CASE("open files: usable when the directory went with it") {
    Ground g("");
    const UniqueFd fd = open_file(g / "f", O_RDWR);
    OK(::unlink(g.on("f").c_str()));
    OK(::rmdir((g.disk / "a/d").c_str()));
    use(fd.get(), 0);
}

TEST_CASE("open files: usable when it was renamed on the branch, and the same under its new name") {
    for (const std::string& options : kServed) {
        CAPTURE(options);
        Ground g(options);
        const UniqueFd fd = open_file(g / "f", O_RDWR);
        const auto number = stat_of(fd.get()).st_ino;
        OK(::rename(g.on("f").c_str(), g.on("g").c_str()));
        use(fd.get(), 1);
        CHECK(stat_of(g / "g").st_ino == number);
        CHECK(read_file(g / "g").substr(0, 2) == "TW");
        write_fd(fd.get(), "three", 0);
        CHECK(read_file(g / "g").substr(0, 5) == "three");
        OK(::unlink((g / "g").c_str()));
        CHECK(stat_of(fd.get()).st_nlink == 0);
    }
}

TEST_CASE("open files: who opens or cuts the name gets what has it by now") {
    for (const std::string& options : kServed) {
        CAPTURE(options);
        Ground g(options + ",entry_timeout=60");
        const UniqueFd fd = open_file(g / "f", O_RDONLY);
        write_file(g.on("new"), "new");
        OK(::rename(g.on("new").c_str(), g.on("f").c_str()));
        CHECK(stat_of(fd.get()).st_nlink == 0);
        {
            const UniqueFd other = open_file(g / "f", O_WRONLY | O_APPEND);
            CHECK(::write(other.get(), "er", 2) == 2);
        }
        CHECK(read_file(g.on("f")) == "newer");
        CHECK(read_file(g / "f") == "newer");
        CHECK(read_fd(fd.get()) == "one");
        write_file(g.on("new"), "again");
        OK(::rename(g.on("new").c_str(), g.on("f").c_str()));
        const UniqueFd held = open_file(g / "f", O_RDONLY);
        OK(::truncate((g / "f").c_str(), 2));
        CHECK(stat_of(g.on("f")).st_size == 2);
    }
}

TEST_CASE("open files: nothing is held once they are closed") {
    Ground g("");
    UniqueFd fd = open_file(g / "f", O_RDWR);
    write_fd(fd.get(), pattern(1 << 20), 0);
    OK(::unlink(g.on("f").c_str()));
    CHECK(stat_of(fd.get()).st_nlink == 0);
    const auto used = [&] {
        struct statvfs st;
        OK(::statvfs(g.disk.path().c_str(), &st));
        return st.f_blocks - st.f_bfree;
    };
    const auto before = used();
    fd.reset();
    CHECK(eventually([&] { return used() + 256 <= before; }));
}

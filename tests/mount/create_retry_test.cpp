// A new name whose branch turns out to have no room, no inodes, or to be read-only, though it did not look so when it
// was chosen: the next best branch takes it, and nothing of the attempt is left.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/sandbox.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

using Make = std::function<int(const std::string&)>;

const std::vector<std::pair<const char*, Make>>& makers() {
    static const std::vector<std::pair<const char*, Make>> all = {
        {"create", [](const std::string& path) { return try_open(path, O_CREAT | O_EXCL | O_WRONLY); }},
        {"mkdir", [](const std::string& path) { return err_of(::mkdir(path.c_str(), 0755)); }},
        {"mknod", [](const std::string& path) { return err_of(::mknod(path.c_str(), S_IFIFO | 0600, 0)); }},
        {"symlink", [](const std::string& path) { return err_of(::symlink("target", path.c_str())); }},
        {"tmpfile",
         [](const std::string& path) {
             UniqueFd fd(::open(path.substr(0, path.rfind('/')).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
             if (!fd.valid()) return errno;
             return err_of(::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd.get())).c_str(), AT_FDCWD,
                                    path.c_str(), AT_SYMLINK_FOLLOW));
         }},
    };
    return all;
}

// Two branches, and what was known of the first is believed for the rest of the test.
struct Two {
    explicit Two(const std::string& first_options) {
        if (is_standin()) skip("about plyfs itself");
        first = scratch.dir("first");
        second = scratch.dir("second");
        mnt = scratch.dir("mnt");
        disk = Mounted("none", first, "tmpfs", 0, "mode=0755," + first_options);
        other = Mounted("none", second, "tmpfs", 0, "mode=0755,size=16M");
        make_dirs(second + "/in/side");
    }
    void mount() {
        mounted = std::make_unique<Mount>("create=ff,minfreespace=0,cache.statfs=3600", first + ":" + second, mnt);
        CHECK(try_open(mnt + "/seen", O_CREAT | O_WRONLY) == 0);
        CHECK(exists(first + "/seen"));
    }
    void make_all(const std::string& dir) {
        for (const auto& [kind, make] : makers()) {
            CAPTURE(kind);
            CHECK(make(mnt + dir + "/" + kind) == 0);
            CHECK(exists(second + dir + "/" + kind));
            CHECK_FALSE(exists(first + dir + "/" + kind));
        }
    }
    Scratch scratch;
    std::string first, second, mnt;
    Mounted disk, other;
    std::unique_ptr<Mount> mounted;
};

}  // namespace

TEST_CASE("create: a branch that has run out of inodes since is passed over, also for directories on the way") {
    Two two("size=16M,nr_inodes=12");
    two.mount();
    for (int i = 0; try_open(two.first + "/use" + std::to_string(i), O_CREAT | O_WRONLY) == 0; ++i) {
    }
    two.make_all("");
    two.make_all("/in/side");
    CHECK_FALSE(exists(two.first + "/in"));
}

TEST_CASE("create: a branch that has become read-only is passed over") {
    Two two("size=16M");
    two.mount();
    // Once the file that was made has been released.
    CHECK(
        eventually([&] { return ::mount("none", two.first.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0; }));
    two.make_all("");
    two.make_all("/in/side");
    OK(::mount("none", two.first.c_str(), nullptr, MS_REMOUNT, nullptr));
}

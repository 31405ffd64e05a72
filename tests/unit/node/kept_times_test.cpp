#include "node/kept_times.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

using namespace plyfs;

namespace {

constexpr timespec kOld{1000000000, 5}, kOther{1100000000, 7};

struct Folder {
    Folder() {
        REQUIRE(::mkdtemp(path.data()));
        set(kOld);
    }
    ~Folder() {
        ::rmdir((path + "/a").c_str());
        ::rmdir((path + "/b").c_str());
        ::rmdir(path.c_str());
    }
    // Each with a descriptor of its own.
    SharedDir open() const {
        return std::make_shared<const LayerDir>(UniqueFd(::open(path.c_str(), O_PATH | O_CLOEXEC)));
    }
    void make(const char* name) const { REQUIRE(::mkdir((path + name).c_str(), 0755) == 0); }
    void set(const timespec& mtime) const { REQUIRE(set_directory_times(*open(), {0, UTIME_OMIT}, mtime)); }
    time_t mtime() const {
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        return st.st_mtim.tv_sec;
    }
    std::string path = "/tmp/plyfs-kept-times.XXXXXX";
};

}  // namespace

TEST_CASE("kept times: two that keep them at once both keep what was there first") {
    const Folder folder;
    std::optional<KeptTimes> first, second;
    first.emplace(folder.open());
    folder.make("/a");
    second.emplace(folder.open());
    first.reset();
    CHECK(folder.mtime() == kOld.tv_sec);
    folder.make("/b");
    CHECK(folder.mtime() > kOther.tv_sec);
    second.reset();
    CHECK(folder.mtime() == kOld.tv_sec);
}

TEST_CASE("kept times: what a user sets meanwhile stays") {
    const Folder folder;
    {
        KeptTimes first(folder.open());
        folder.set(kOther);
        KeptTimes second(folder.open());
        folder.make("/a");
    }
    CHECK(folder.mtime() == kOther.tv_sec);
    {
        KeptTimes keep(folder.open());
        folder.set({0, UTIME_NOW});
        folder.make("/a/../b");
    }
    CHECK(folder.mtime() > kOther.tv_sec);
    folder.set(kOld);
    CHECK(folder.mtime() == kOld.tv_sec);
}

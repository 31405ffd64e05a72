// Maximum stacking depth: which branches can be passed through, and what can be stacked on our mount.
#include <unistd.h>

#include <optional>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kBig = 600000;

struct Ground {
    Ground() : disk("ext4", scratch.path(), "disk", 64), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
        for (std::string name : {"lower", "upper", "work", "upper2", "work2", "a", "b"}) disk.dir(name);
        write_file(disk / "lower/f", pattern(kBig));
    }
    // An overlayfs over folders of the disk, mounted on NAME.
    Mounted overlay(const std::string& name, const std::string& lower, const std::string& suffix = "") {
        return Mounted("overlay", scratch.dir(name), "overlay", 0,
                       "lowerdir=" + lower + ",upperdir=" + disk.path() + "/upper" + suffix +
                           ",workdir=" + disk.path() + "/work" + suffix);
    }
    std::string layers_on(const std::string& lower) const {
        return "lowerdir=" + lower + ",upperdir=" + disk.path() + "/a,workdir=" + disk.path() + "/b";
    }
    // Reading the file through mnt: who served it, and what the statistics say of that branch.
    void expect(const Mount& mount, const std::string& branch, const std::string& depth, bool passthrough) {
        Counter count(mount.path());
        CHECK(read_file(mount / "f") == pattern(kBig));
        Stats now = mount.stats();
        CHECK(now.text("max_stack_depth") == depth);
        CHECK(count("opens.passthrough") == (passthrough ? 1 : 0));
        CHECK((count.served() == 0) == passthrough);
        std::string key = key_of(now, branch);
        CHECK(now.text(key + ".passthrough") == (passthrough ? "yes" : "no"));
        if (!passthrough) CHECK_FALSE(now.text(key + ".passthrough_why").empty());
        // Whatever the branch, writing works and ends in the upper, passed through as far as the upper goes.
        write_file(mount / "f", "new");
        CHECK(read_file(mount / "f") == "new");
    }
    static std::string key_of(const Stats& stats, const std::string& path) {
        for (int i = 0; i < 2; i++)
            if (stats.text("branch." + std::to_string(i) + ".path") == path) return "branch." + std::to_string(i);
        FAIL("no branch ", path, " in the statistics");
        return "";
    }

    Scratch scratch;
    LoopFs disk;
    std::string mnt;
};

}  // namespace

TEST_CASE("depth: plain branches get 0, and the choice is ours by option") {
    Ground ground;
    for (auto [option, depth] :
         {std::pair{"max-stack-depth=auto", "0"}, {"max-stack-depth=0", "0"}, {"max-stack-depth=1", "1"}}) {
        CAPTURE(std::string(option));
        Mount mount(ground.layers_on(ground.disk / "lower") + "," + option, "", ground.mnt);
        ground.expect(mount, ground.disk / "lower", depth, true);
        mount.unmount();
        must_run({"rm", "-rf", ground.disk / "a", ground.disk / "b"});
        ground.disk.dir("a");
        ground.disk.dir("b");
    }
}

TEST_CASE("depth: overlayfs as a branch raises it to 1 and is passed through") {
    Ground ground;
    Mounted overlay = ground.overlay("over", ground.disk / "lower");
    Mount mount(ground.layers_on(overlay.target()), "", ground.mnt);
    ground.expect(mount, overlay.target(), "1", true);
}

TEST_CASE("depth: overlayfs as a branch with 0 asked for works, not passed through, and says why") {
    Ground ground;
    Mounted overlay = ground.overlay("over", ground.disk / "lower");
    Mount mount(ground.layers_on(overlay.target()) + ",max-stack-depth=0", "", ground.mnt);
    ground.expect(mount, overlay.target(), "0", false);
    Counter count(mount.path());
    write_file(mount / "new", pattern(kBig));
    CHECK(count("opens.passthrough") == 1);  // one branch's refusal is not the mount's
    CHECK(count.served() == 0);
}

TEST_CASE("depth: overlayfs on overlayfs is too deep, and still works") {
    Ground ground;
    Mounted overlay = ground.overlay("over", ground.disk / "lower");
    Mounted second = ground.overlay("over2", overlay.target(), "2");
    Mount mount(ground.layers_on(second.target()), "", ground.mnt);
    ground.expect(mount, second.target(), "1", false);
}

TEST_CASE("depth: our own mount as a branch of another") {
    Ground ground;
    std::string inner_mnt = ground.scratch.dir("inner");
    Mount inner("", ground.disk.path() + "/lower=ro", inner_mnt);
    CHECK(inner.stats().text("max_stack_depth") == "0");
    {
        Mount outer(ground.layers_on(inner_mnt), "", ground.mnt);
        ground.expect(outer, inner_mnt, "1", true);
        std::string third_mnt = ground.scratch.dir("third");
        Mount third("", ground.mnt + "=ro", third_mnt);
        write_file(ground.mnt + "/g", pattern(kBig, 2));
        CHECK(read_file(third_mnt + "/g") == pattern(kBig, 2));
        CHECK(third.stats()["opens.passthrough"] == 0);
    }
    CHECK(inner.stats()["requests.write"] == 0);
}

TEST_CASE("depth: overlayfs on top of us with 0, as lower and as upper") {
    Ground ground;
    Mount mount("create=ff", ground.disk.path() + "/a=rw", ground.mnt);
    for (std::string name : {"low", "up", "wk"}) OK(::mkdir((mount / name).c_str(), 0755));
    write_file(mount / "low/f", pattern(kBig));
    Mounted top("overlay", ground.scratch.dir("top"), "overlay", 0,
                "lowerdir=" + (mount / "low") + ",upperdir=" + (mount / "up") + ",workdir=" + (mount / "wk"));
    Counter count(mount.path());
    CHECK(read_file(top.target() + "/f") == pattern(kBig));
    write_file(top.target() + "/f", "changed");
    CHECK(read_file(top.target() + "/f") == "changed");
    CHECK(read_file(mount / "up/f") == "changed");
    CHECK(read_file(mount / "low/f") == pattern(kBig));
    write_file(top.target() + "/new", pattern(kBig, 2));
    CHECK(read_file(top.target() + "/new") == pattern(kBig, 2));
    OK(::unlink((top.target() + "/f").c_str()));
    CHECK_FALSE(exists(top.target() + "/f"));
    CHECK(count.served() == 0);
}

TEST_CASE("depth: overlayfs on top of us is refused with 1 and possible without passthrough") {
    Ground ground;
    for (std::string option : {"max-stack-depth=1", "passthrough=off"}) {
        CAPTURE(option);
        Mount mount(option, ground.disk.path() + "/a=rw", ground.mnt);
        for (std::string name : {"low", "up", "wk"}) must_run({"mkdir", "-p", mount / name});
        must_run({"mkdir", "-p", ground.scratch / "top"});
        int err =
            try_mount("overlay", ground.scratch / "top", "overlay", 0,
                      "lowerdir=" + (mount / "low") + ",upperdir=" + (mount / "up") + ",workdir=" + (mount / "wk"));
        CHECK(err == (option == "passthrough=off" ? 0 : EINVAL));
        CHECK(mount.stats().text("max_stack_depth") == (option == "passthrough=off" ? "off" : "1"));
    }
}

// Inode numbers: those of the original for a copy, whatever happens to it, the same in listings, and the same in the
// next mount; on each file system that can be a layer, and as the kernel's overlayfs shows them.
#include <dirent.h>
#include <sys/mount.h>
#include <unistd.h>

#include <map>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

using Numbers = std::map<std::string, ino_t>;

void fill(Layers& tree) {
    make_dirs(tree.lower2 + "/d/sub");
    make_dirs(tree.lower + "/d");
    for (std::string name : {"f", "d/g", "d/sub/h"}) write_file(tree.lower2 + "/" + name, name);
    write_file(tree.lower + "/d/i", "i");
    OK(::symlink("f", (tree.lower2 + "/s").c_str()));
    OK(::mkfifo((tree.lower2 + "/p").c_str(), 0644));
}

const std::vector<std::string> kAll = {"f", "d", "d/g", "d/sub", "d/sub/h", "d/i", "s", "p"};

Numbers numbers(const std::string& mnt, const std::vector<std::string>& names = kAll) {
    Numbers out;
    for (const std::string& name : names) out[name] = lstat_of(mnt + "/" + name).st_ino;
    return out;
}

// What readdir says, of a directory and all below; also in a process that looks nothing up.
void listed(const std::string& mnt, const std::string& dir, Numbers& out) {
    DIR* reading = ::opendir((mnt + "/" + dir).c_str());
    REQUIRE(reading);
    std::vector<std::string> dirs;
    while (const dirent* entry = ::readdir(reading)) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        const std::string path = dir.empty() ? name : dir + "/" + name;
        out[path] = entry->d_ino;
        if (entry->d_type == DT_DIR) dirs.push_back(path);
    }
    ::closedir(reading);
    for (const std::string& path : dirs) listed(mnt, path, out);
}

void check_listed(const std::string& mnt) {
    for (int times = 0; times < 2; ++times) {
        Numbers found;
        listed(mnt, "", found);
        for (const auto& [name, number] : found) {
            CAPTURE(name);
            CHECK(number == lstat_of(mnt + "/" + name).st_ino);
        }
    }
}

void touch_all(const std::string& mnt) {
    for (const std::string& name : kAll) OK(::lchown((mnt + "/" + name).c_str(), 3, 4));
}

}  // namespace

TEST_CASE("inode numbers: constant over copy-up and mounts, in stat and readdir") {
    for (std::string lower : {"ext4", "xfs", "btrfs", "tmpfs"}) {
        for (std::string upper : {"ext4", "btrfs"}) {
            if (lower == "xfs" && upper != "ext4") continue;
            CAPTURE(lower);
            CAPTURE(upper);
            LayersSpec spec;
            spec.lower_kind = lower;
            spec.upper_kind = upper;
            spec.mib = lower == "xfs" ? 320 : 128;
            Layers tree(spec);
            fill(tree);
            tree.mount();
            const Numbers before = numbers(tree.mnt());
            touch_all(tree.mnt());
            write_file(tree / "d/new", "new");
            CHECK(numbers(tree.mnt()) == before);
            check_listed(tree.mnt());
            const ino_t fresh = stat_of(tree / "d/new").st_ino;
            for (int mounts = 0; mounts < 2; ++mounts) {
                tree.unmount();
                tree.mount("timeout=0");
                check_listed(tree.mnt());
                CHECK(numbers(tree.mnt()) == before);
                CHECK(stat_of(tree / "d/new").st_ino == fresh);
            }
        }
    }
}

TEST_CASE("inode numbers: a copy that was renamed keeps its number over mounts") {
    need_privilege("open_by_handle_at");
    Layers tree;
    fill(tree);
    tree.mount();
    const Numbers before = numbers(tree.mnt());
    OK(::rename((tree / "f").c_str(), (tree / "d/sub/f2").c_str()));
    OK(::mkdir((tree / "made").c_str(), 0755));
    OK(::rename((tree / "d/g").c_str(), (tree / "made/g2").c_str()));
    OK(::rename((tree / "d/sub").c_str(), (tree / "made/sub2").c_str()));
    OK(::link((tree / "d/i").c_str(), (tree / "made/i2").c_str()));
    for (int mounts = 0; mounts < 2; ++mounts) {
        CHECK(stat_of(tree / "made/sub2/f2").st_ino == before.at("f"));
        CHECK(stat_of(tree / "made/g2").st_ino == before.at("d/g"));
        CHECK(stat_of(tree / "made/sub2").st_ino == before.at("d/sub"));
        CHECK(stat_of(tree / "made/sub2/h").st_ino == before.at("d/sub/h"));
        CHECK(stat_of(tree / "made/i2").st_ino == before.at("d/i"));
        CHECK(stat_of(tree / "d/i").st_ino == before.at("d/i"));
        check_listed(tree.mnt());
        tree.unmount();
        tree.mount("timeout=0");
    }
}

TEST_CASE("inode numbers: what comes in the place of a deleted copy has a number of its own") {
    Layers tree;
    fill(tree);
    tree.mount();
    const Numbers before = numbers(tree.mnt());
    OK(::chmod((tree / "f").c_str(), 0600));
    OK(::chmod((tree / "d/sub").c_str(), 0700));
    OK(::unlink((tree / "f").c_str()));
    must_run({"rm", "-r", tree / "d/sub"});
    for (int i = 0; i < 50; ++i) {
        write_file(tree / ("f" + std::to_string(i)), "f");
        OK(::mkdir((tree / ("d" + std::to_string(i))).c_str(), 0755));
    }
    for (int mounts = 0; mounts < 2; ++mounts) {
        Numbers found;
        listed(tree.mnt(), "", found);
        std::map<ino_t, std::string> seen;
        for (const auto& [name, number] : found) {
            CAPTURE(name);
            CAPTURE(seen[number]);
            CHECK(seen[number].empty());
            seen[number] = name;
            CHECK(number != before.at("f"));
            CHECK(number != before.at("d/sub"));
        }
        check_listed(tree.mnt());
        tree.unmount();
        tree.mount("timeout=0");
    }
}

TEST_CASE("inode numbers: the kernel's overlayfs reads our origins, and we read its") {
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 64);
    for (bool kernel : {false, true}) {
        CAPTURE(kernel);
        const std::string at = kernel ? "k" : "p";
        const std::string lower = disk.dir(at + "lower"), upper = disk.dir(at + "upper"), work = disk.dir(at + "work");
        const std::string mnt = scratch.dir(at + "mnt");
        make_dirs(lower + "/d/sub");
        for (std::string name : {"f", "d/g", "d/sub/h"}) write_file(lower + "/" + name, name);
        OK(::symlink("f", (lower + "/s").c_str()));
        const std::string options = "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work;
        const std::vector<std::string> names = {"f", "d", "d/g", "d/sub", "d/sub/h", "s"};
        const Numbers before = numbers(lower, names);
        const auto change = [&] {
            for (const std::string& name : names) OK(::lchown((mnt + "/" + name).c_str(), 3, 4));
            OK(::rename((mnt + "/d/g").c_str(), (mnt + "/moved").c_str()));
        };
        const auto check = [&] {
            for (std::string name : {"f", "d", "d/sub", "d/sub/h", "s"}) {
                CAPTURE(name);
                CHECK(lstat_of(mnt + "/" + name).st_ino == before.at(name));
            }
            CHECK(lstat_of(mnt + "/moved").st_ino == before.at("d/g"));
            check_listed(mnt);
        };
        for (int turn = 0; turn < 3; ++turn) {
            if (kernel == (turn % 2 == 0)) {
                Mounted overlay("overlay", mnt, "overlay", 0, options + ",index=on,xino=on");
                if (turn == 0) change();
                check();
            } else {
                Mount mounted(options, "", mnt);
                if (turn == 0) change();
                check();
            }
        }
    }
}

TEST_CASE("inode numbers: lowers on several file systems do not share any, and keep theirs") {
    Scratch scratch;
    LoopFs one("ext4", scratch.path(), "one", 64), two("ext4", scratch.path(), "two", 64),
        three("tmpfs", scratch.path(), "three", 64);
    const std::string mnt = scratch.dir("mnt");
    for (const LoopFs* fs : {&one, &two, &three}) {
        const std::string lower = fs->dir("lower");
        for (int i = 0; i < 20; ++i)
            write_file(lower + "/" + fs->path().substr(fs->path().rfind('/') + 1) + std::to_string(i), "x");
    }
    const std::string options = "lowerdir=" + one.path() + "/lower:" + two.path() + "/lower:" + three.path() +
                                "/lower,upperdir=" + one.dir("upper") + ",workdir=" + one.dir("work");
    Numbers before;
    for (int mounts = 0; mounts < 3; ++mounts) {
        Mount mounted(options, "", mnt);
        Numbers now;
        listed(mnt, "", now);
        REQUIRE(now.size() == 60);
        std::map<ino_t, int> uses;
        for (const auto& [name, number] : now) CHECK(++uses[number] == 1);
        if (mounts == 0) before = now;
        CHECK(now == before);
        if (mounts == 1) must_run({"chown", "-R", "5:6", mnt});
        check_listed(mnt);
    }
}

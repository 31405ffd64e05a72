// Reading directories: one entry a name whatever the number of branches, types and inode numbers that stat
// confirms, positions that survive changes.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <set>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// In layers both lowers, in pools both disks hold part of d.
void fill(Tree& tree) {
    std::string second = tree.layered() ? static_cast<Layers&>(tree).lower2 : static_cast<Pool&>(tree).a;
    for (const std::string& root : {tree.below(), second}) {
        make_dirs(root + "/d/common");
        write_file(root + "/d/both", root);
    }
    write_file(tree.below() + "/d/one", "1");
    write_file(second + "/d/two", "2");
    OK(::symlink("one", (tree.below() + "/d/link").c_str()));
    OK(::mkfifo((second + "/d/fifo").c_str(), 0600));
    make_dirs(tree.below() + "/many");
    for (int i = 0; i < 1500; i++) write_file(tree.below() + "/many/old" + std::to_string(i), "");
}

struct Reader {
    explicit Reader(const std::string& path) : dir(::opendir(path.c_str())) { REQUIRE(dir != nullptr); }
    ~Reader() { ::closedir(dir); }
    DIR* dir;
};

unsigned char type_of(mode_t mode) {
    return static_cast<unsigned char>((mode & S_IFMT) >> 12);
}

}  // namespace

TEST_CASE("readdir: a merged directory lists each name once, d_type and d_ino are what stat says") {
    in_both_modes(fill, [](Tree& tree) {
        write_file(tree / "d/new", "n");
        OK(::unlink((tree / "d/two").c_str()));
        Reader reader(tree / "d");
        std::multiset<std::string> names;
        while (dirent* entry = ::readdir(reader.dir)) {
            names.insert(entry->d_name);
            CAPTURE(std::string(entry->d_name));
            if (std::string(entry->d_name) == "..") continue;  // checked below: not the mount's own parent
            struct stat st = lstat_of(tree / ("d/" + std::string(entry->d_name)));
            CHECK(entry->d_ino == st.st_ino);
            CHECK(entry->d_type == type_of(st.st_mode));
        }
        CHECK(names == std::multiset<std::string>{".", "..", "both", "common", "fifo", "link", "new", "one"});
    });
}

TEST_CASE("readdir: dot and dotdot of a subdirectory and of the root") {
    in_both_modes(fill, [](Tree& tree) {
        for (std::string name : {"d/common", "d"}) {
            Reader reader(tree / name);
            std::set<std::string> seen;
            while (dirent* entry = ::readdir(reader.dir)) {
                std::string n = entry->d_name;
                if (n != "." && n != "..") continue;
                seen.insert(n);
                CHECK(entry->d_type == DT_DIR);
                CHECK(entry->d_ino == stat_of(tree / (std::string(name) + "/" + n)).st_ino);
            }
            CHECK(seen.size() == 2);
        }
        CHECK(stat_of(tree / "d/common/../..").st_ino == stat_of(tree.mnt()).st_ino);
    });
}

TEST_CASE("readdir: telldir, seekdir and rewinddir") {
    in_both_modes(fill, [](Tree& tree) {
        Reader reader(tree / "many");
        std::vector<std::pair<long, std::string>> order;
        long largest = 0;
        for (;;) {
            long at = ::telldir(reader.dir);
            largest = std::max(largest, at);
            dirent* entry = ::readdir(reader.dir);
            if (!entry) break;
            order.emplace_back(at, entry->d_name);
        }
        CHECK(order.size() == 1502);
        // More fails in programs of 32 bits, and ext4 counts with 63.
        CHECK(largest <= std::numeric_limits<std::int32_t>::max());
        for (std::size_t i : {std::size_t{1400}, std::size_t{3}, std::size_t{700}, order.size() - 1}) {
            ::seekdir(reader.dir, order[i].first);
            dirent* entry = ::readdir(reader.dir);
            REQUIRE(entry != nullptr);
            CHECK(std::string(entry->d_name) == order[i].second);
        }
        write_file(tree / "many/aaa", "");
        ::rewinddir(reader.dir);
        std::set<std::string> names;
        while (dirent* entry = ::readdir(reader.dir)) names.insert(entry->d_name);
        CHECK(names.size() == 1503);
        CHECK(names.count("aaa") == 1);
    });
}

TEST_CASE("readdir: what stays is listed exactly once while other names come and go") {
    in_both_modes(fill, [](Tree& tree) {
        Reader reader(tree / "many");
        std::multiset<std::string> names;
        for (int step = 0;; step++) {
            dirent* entry = ::readdir(reader.dir);
            if (!entry) break;
            names.insert(entry->d_name);
            if (step < 400) {
                OK(::unlink((tree / ("many/old" + std::to_string(step))).c_str()));
                write_file(tree / ("many/new" + std::to_string(step)), "");
            }
        }
        for (int i = 400; i < 1500; i++) {
            std::string name = "old" + std::to_string(i);
            CAPTURE(name);
            CHECK(names.count(name) == 1);
        }
        for (const std::string& name : names) CHECK(names.count(name) == 1);
        CHECK(list_dir(tree / "many").size() == 1500);
    });
}

TEST_CASE("readdir: rm -r of a large merged directory") {
    in_both_modes(fill, [](Tree& tree) {
        for (int i = 0; i < 300; i++) write_file(tree / ("many/new" + std::to_string(i)), "");
        must_run({"rm", "-r", tree / "many", tree / "d"});
        CHECK(list_dir(tree.mnt()).empty());
        tree.unmount();
        tree.mount();
        CHECK_FALSE(exists(tree / "many"));
    });
}

TEST_CASE("readdir: a directory that changes between two listings") {
    in_both_modes(fill, [](Tree& tree) {
        UniqueFd fd = open_file(tree / "d", O_RDONLY | O_DIRECTORY);
        auto before = list_dir(tree / "d");
        write_file(tree / "d/zz", "");
        auto after = list_dir(tree / "d");
        CHECK(after.size() == before.size() + 1);
        OK(::unlinkat(fd.get(), "zz", 0));
        OK(::unlinkat(fd.get(), "one", 0));
        CHECK(list_dir(tree / "d").size() == before.size() - 1);
        FAILS(ENOTDIR, ::open((tree / "d/both").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        FAILS(EISDIR, ::open((tree / "d").c_str(), O_WRONLY | O_CLOEXEC));
    });
}

TEST_CASE("readdir: link counts and times of merged directories") {
    in_both_modes(fill, [](Tree& tree) {
        struct stat before = stat_of(tree / "d");
        CHECK(before.st_nlink >= 1);  // 1 means "not counted", as on btrfs and overlayfs
        nap(20);
        write_file(tree / "d/new", "");
        struct stat after = stat_of(tree / "d");
        CHECK(ns(after.st_mtim) > ns(before.st_mtim));
        CHECK(after.st_ino == before.st_ino);
        nap(20);
        OK(::unlink((tree / "d/one").c_str()));
        CHECK(ns(stat_of(tree / "d").st_mtim) > ns(after.st_mtim));
    });
}

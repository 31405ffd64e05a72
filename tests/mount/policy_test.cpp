// Every policy in every category on four branches of different free space, against a table of what mergerfs documents
// for them; what rules say; and what a full branch does.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

// MiB:      size used free
//   a         16   10    6
//   b         25   20    5   least free
//   c        100   12   88   most free, least used of its size
//   d         12    2   10   least used
struct Disks {
    Disks() {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("file systems of several sizes");
        const struct {
            const char* name;
            unsigned size, used;
        } all[] = {{"a", 16, 10}, {"b", 25, 20}, {"c", 100, 12}, {"d", 12, 2}};
        for (const auto& disk : all) {
            disks.push_back(std::make_unique<LoopFs>("tmpfs", scratch.path(), disk.name, disk.size));
            UniqueFd fill = open_file(*disks.back() / "fill", O_CREAT | O_WRONLY);
            OK(::fallocate(fill.get(), 0, 0, static_cast<off_t>(disk.used) << 20));
        }
        mnt = scratch.dir("mnt");
    }
    std::string at(char branch, const std::string& name) const { return *disks[branch - 'a'] / name; }
    std::string branches() const {
        std::string list;
        for (const auto& disk : disks) list += (list.empty() ? "" : ":") + disk->path();
        return list;
    }
    // "abd": on which the name is.
    std::string where(const std::string& name) const {
        std::string out;
        for (char c = 'a'; c <= 'd'; ++c) {
            if (exists(at(c, name))) out += c;
        }
        return out;
    }
    Scratch scratch;
    std::vector<std::unique_ptr<LoopFs>> disks;
    std::string mnt;
};

void set_time(const std::string& path, time_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    OK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

struct Row {
    const char* policy;
    // Of these branches one is taken; with all, every one of them; "!": refused, with `error`.
    const char* create;   // in p, which is on a, b and d; the newest on b
    int error;            //
    const char* shared;   // in p/s, which is only on a read-only branch; "!": EROFS
    const char* search;   // of a file on b, c and d; the newest on d
    const char* changed;  // of a file on a, b, c and d; the newest on d
    bool all = false;
};

const Row kRows[] = {
    {"all", "abcd", 0, "abcd", "b", "abcd", true},
    {"epall", "abd", 0, "!", "b", "abcd", true},
    {"epff", "a", 0, "!", "b", "a"},
    {"eplfs", "b", 0, "!", "b", "b"},
    {"eplus", "d", 0, "!", "d", "d"},
    {"epmfs", "d", 0, "!", "c", "c"},
    {"eppfrd", "abd", 0, "!", "bcd", "abcd"},
    {"eprand", "abd", 0, "!", "bcd", "abcd"},
    {"erofs", "!", EROFS, "!", "!", "!"},
    {"ff", "a", 0, "a", "b", "a"},
    {"lfs", "b", 0, "b", "b", "b"},
    {"lup", "c", 0, "c", "c", "c"},
    {"lus", "d", 0, "d", "d", "d"},
    {"mfs", "c", 0, "c", "c", "c"},
    {"msplfs", "b", 0, "b", "b", "b"},
    {"msplus", "d", 0, "d", "d", "d"},
    {"mspmfs", "d", 0, "d", "c", "c"},
    {"msppfrd", "abd", 0, "abd", "bcd", "abcd"},
    {"newest", "b", 0, "!", "d", "d"},
    {"pfrd", "abcd", 0, "abcd", "bcd", "abcd"},
    {"rand", "abcd", 0, "abcd", "bcd", "abcd"},
};

bool is_refused(const char* expected) {
    return expected[0] == '!';
}

void check_where(const Disks& disks, const std::string& name, const char* expected, bool all) {
    const std::string found = disks.where(name);
    INFO(name, " is on ", found, ", expected on ", all ? "all of " : "one of ", expected);
    if (all) {
        CHECK(found == expected);
    } else {
        CHECK(found.size() == 1);
        CHECK(std::string(expected).find(found) != std::string::npos);
    }
}

int made(int result) {
    return result == 0 ? 0 : errno;
}

void create_four(const Disks& disks, const Mount& mount, const Row& row, const std::string& dir, const char* expected,
                 int error) {
    const std::string file = dir + "/f", sub = dir + "/d", link = dir + "/l", fifo = dir + "/n";
    CHECK(try_open(mount / file, O_CREAT | O_EXCL | O_WRONLY) == error);
    CHECK(made(::mkdir((mount / sub).c_str(), 0755)) == error);
    CHECK(made(::symlink("x", (mount / link).c_str())) == error);
    CHECK(made(::mknod((mount / fifo).c_str(), S_IFIFO | 0644, 0)) == error);
    if (error != 0) {
        for (const auto& name : {file, sub, link, fifo}) CHECK(disks.where(name).empty());
        return;
    }
    // A regular file is on one of them by every policy: the first.
    check_where(disks, file, row.all ? "a" : expected, false);
    for (const auto& name : {sub, link, fifo}) check_where(disks, name, expected, row.all);
    OK(::unlink((mount / file).c_str()));
    OK(::rmdir((mount / sub).c_str()));
    OK(::unlink((mount / link).c_str()));
    OK(::unlink((mount / fifo).c_str()));
    for (const auto& name : {file, sub, link, fifo}) CHECK(disks.where(name).empty());
}

}  // namespace

TEST_CASE("policy matrix: create") {
    Disks disks;
    const std::string archive = disks.scratch.dir("archive");
    make_dirs(archive + "/p/s");
    for (char c : {'a', 'b', 'd'}) make_dirs(disks.at(c, "p"));
    for (const Row& row : kRows) {
        INFO("policy ", row.policy);
        for (char c : {'a', 'd'}) set_time(disks.at(c, "p"), 1000);
        set_time(disks.at('b', "p"), 2000);
        const std::string options = std::string("minfreespace=0,category.create=") + row.policy;
        {
            Mount mount(options, disks.branches(), disks.mnt);
            if (std::string_view(row.policy) == "newest") {
                // Each name makes its directory the newest.
                CHECK(try_open(mount / "p/f", O_CREAT | O_EXCL | O_WRONLY) == 0);
                check_where(disks, "p/f", row.create, false);
                OK(::unlink((mount / "p/f").c_str()));
            } else {
                create_four(disks, mount, row, "p", row.create, row.error);
            }
        }
        Mount mount(options, disks.branches() + ":" + archive + "=ro", disks.mnt);
        create_four(disks, mount, row, "p/s", row.shared, is_refused(row.shared) ? EROFS : 0);
        for (char c = 'a'; c <= 'd'; ++c) ::rmdir(disks.at(c, "p/s").c_str());
        ::rmdir(disks.at('c', "p").c_str());
    }
}

TEST_CASE("policy matrix: create of single functions") {
    Disks disks;
    Mount mount("minfreespace=0,category.create=ff,func.mkdir=mfs,func.symlink=lfs,func.mknod=lus", disks.branches(),
                disks.mnt);
    write_file(mount / "f", "x");
    make_dirs(mount / "d");
    OK(::symlink("x", (mount / "l").c_str()));
    OK(::mknod((mount / "n").c_str(), S_IFREG | 0644, 0));
    CHECK(disks.where("f") == "a");
    CHECK(disks.where("d") == "c");
    CHECK(disks.where("l") == "b");
    CHECK(disks.where("n") == "d");
}

TEST_CASE("policy matrix: search, and what is read is what is shown") {
    Disks disks;
    std::string content = "x";
    for (char c : {'b', 'c', 'd'}) {
        for (int i = 0; i < 8; ++i) {
            write_file(disks.at(c, "s" + std::to_string(i)), c + content);
            set_time(disks.at(c, "s" + std::to_string(i)), c == 'd' ? 2000 : 1000);
        }
        content += "x";
    }
    for (const Row& row : kRows) {
        INFO("policy ", row.policy);
        Mount mount(std::string("timeout=0,category.search=") + row.policy, disks.branches(), disks.mnt);
        for (int i = 0; i < 8; ++i) {
            const std::string name = "s" + std::to_string(i);
            if (is_refused(row.search)) {
                CHECK(try_open(mount / name, O_RDONLY) == EROFS);
                continue;
            }
            const std::string read = read_file(mount / name);
            CHECK(std::string(row.search).find(read[0]) != std::string::npos);
            // The same file for stat, a descriptor and who comes later.
            const struct stat st = stat_of(mount / name);
            CHECK(static_cast<std::size_t>(st.st_size) == read.size());
            UniqueFd fd = open_file(mount / name, O_RDONLY);
            CHECK(stat_of(fd.get()).st_ino == st.st_ino);
            CHECK(read_fd(fd.get()) == read);
            CHECK(read_file(mount / name) == read);
        }
    }
}

TEST_CASE("policy matrix: action") {
    Disks disks;
    for (const Row& row : kRows) {
        INFO("policy ", row.policy);
        for (char c = 'a'; c <= 'd'; ++c) {
            for (const char* name : {"m", "g"}) {
                write_file(disks.at(c, name), std::string(1, c));
                OK(::chmod(disks.at(c, name).c_str(), 0644));
                set_time(disks.at(c, name), c == 'd' ? 2000 : 1000);
            }
        }
        Mount mount(std::string("timeout=0,category.action=") + row.policy, disks.branches(), disks.mnt);
        const int error = is_refused(row.changed) ? EROFS : 0;
        CHECK(made(::chmod((mount / "m").c_str(), 0600)) == error);
        std::string changed;
        for (char c = 'a'; c <= 'd'; ++c) {
            if ((stat_of(disks.at(c, "m")).st_mode & 0777) == 0600) changed += c;
        }
        // What is shown is the winner, changed or not.
        CHECK((stat_of(mount / "m").st_mode & 0777) == (stat_of(disks.at('a', "m")).st_mode & 0777));
        CHECK(read_file(mount / "m") == "a");
        CHECK(made(::unlink((mount / "g").c_str())) == error);
        const std::string left = disks.where("g");
        const std::string expected = error ? "" : row.changed;
        if (row.all || error) {
            CHECK(changed == expected);
            CHECK(left.size() == 4 - expected.size());
        } else {
            CHECK(changed.size() == 1);
            CHECK(expected.find(changed) != std::string::npos);
            CHECK(left.size() == 3);
            std::string removed = "abcd";
            for (char c : left) removed.erase(removed.find(c), 1);
            CHECK(expected.find(removed) != std::string::npos);
            // The next copy is seen then.
            CHECK(read_file(mount / "g")[0] == left[0]);
        }
    }
}

TEST_CASE("policy matrix: every action changes all copies unless told otherwise") {
    Disks disks;
    for (char c : {'b', 'd'}) write_file(disks.at(c, "f"), "12345");
    make_dirs(disks.at('a', "e"));
    make_dirs(disks.at('c', "e"));
    Mount mount("timeout=0", disks.branches(), disks.mnt);
    OK(::chown((mount / "f").c_str(), 7, 8));
    OK(::truncate((mount / "f").c_str(), 2));
    set_time(mount / "f", 5000);
    OK(::setxattr((mount / "f").c_str(), "trusted.t", "v", 1, 0));
    for (char c : {'b', 'd'}) {
        const struct stat st = stat_of(disks.at(c, "f"));
        CHECK(st.st_uid == 7);
        CHECK(st.st_gid == 8);
        CHECK(st.st_size == 2);
        CHECK(st.st_mtime == 5000);
        CHECK(get_xattr(disks.at(c, "f"), "trusted.t") == "v");
    }
    OK(::removexattr((mount / "f").c_str(), "trusted.t"));
    for (char c : {'b', 'd'}) CHECK(get_xattr(disks.at(c, "f"), "trusted.t") == "(none)");
    // Through a handle it is the file that is open.
    UniqueFd fd = open_file(mount / "f", O_RDWR);
    OK(::ftruncate(fd.get(), 1));
    CHECK(stat_of(disks.at('b', "f")).st_size == 1);
    CHECK(stat_of(disks.at('d', "f")).st_size == 2);
    OK(::chmod((mount / "e").c_str(), 0700));
    for (char c : {'a', 'c'}) CHECK((stat_of(disks.at(c, "e")).st_mode & 0777) == 0700);
}

TEST_CASE("policy: a file stays the one that is open while another copy would win") {
    Disks disks;
    for (char c : {'b', 'd'}) {
        write_file(disks.at(c, "f"), std::string(1, c));
        set_time(disks.at(c, "f"), c == 'b' ? 2000 : 1000);
    }
    Mount mount("timeout=0,category.search=newest", disks.branches(), disks.mnt);
    UniqueFd fd = open_file(mount / "f", O_RDWR);
    set_time(disks.at('d', "f"), 3000);
    CHECK(read_fd(fd.get()) == "b");
    write_fd(fd.get(), "B", 0);
    CHECK(read_file(disks.at('b', "f")) == "B");
    CHECK(read_file(disks.at('d', "f")) == "d");
    fd = UniqueFd();
    set_time(disks.at('d', "f"), ::time(nullptr) + 100);
    CHECK(read_file(mount / "f") == "d");
    CHECK(stat_of(mount / "f").st_mtime == stat_of(disks.at('d', "f")).st_mtime);
}

TEST_CASE("policy: minfreespace of the pool and of a branch, in bytes and as a share") {
    Disks disks;
    const auto place = [&](const std::string& options, const std::string& branches) {
        Mount mount("create=ff," + options, branches, disks.mnt);
        const int error = try_open(mount / "f", O_CREAT | O_EXCL | O_WRONLY);
        if (error != 0) return std::string(strerrorname_np(error));
        const std::string found = disks.where("f");
        OK(::unlink((mount / "f").c_str()));
        return found;
    };
    CHECK(place("minfreespace=0", disks.branches()) == "a");
    CHECK(place("minfreespace=7M", disks.branches()) == "c");
    CHECK(place("minfreespace=7000k", disks.branches()) == "c");
    CHECK(place("minfreespace=80%", disks.branches()) == "c");
    CHECK(place("minfreespace=10%", disks.branches()) == "a");
    CHECK(place("minfreespace=95%", disks.branches()) == "ENOSPC");
    CHECK(place("minfreespace=1G", disks.branches()) == "ENOSPC");
    // Without a word the least of 4G and 5%.
    CHECK(place("cache.statfs=0", disks.branches()) == "a");
    const std::string own = disks.at('a', "") + "=RW,7M:" + disks.at('b', "") + "=rw,1%:" + disks.at('c', "");
    CHECK(place("minfreespace=1G", own) == "b");
    for (const char* policy : {"mspmfs", "msplfs", "msplus", "msppfrd", "epmfs", "pfrd"}) {
        CHECK(place(std::string("minfreespace=1G,category.create=") + policy, disks.branches()) == "ENOSPC");
    }
}

TEST_CASE("policy: a branch without inodes is full, and a create goes on to the next") {
    Disks disks;
    const std::string small = disks.scratch.dir("small");
    Mounted few("none", small, "tmpfs", 0, "size=400M,nr_inodes=8");
    Mount mount("create=mfs,cache.statfs=60", small + ":" + disks.branches(), disks.mnt);
    for (int i = 0; i < 30; ++i) write_file(mount / ("f" + std::to_string(i)), "x");
    int here = 0;
    for (const auto& name : list_dir(small)) here += name[0] == 'f';
    CHECK(here >= 4);
    CHECK(here < 8);
    CHECK(list_dir(disks.at('c', "")).size() == 30 - here + 1);
}

TEST_CASE("policy: rules by path and name and owner") {
    Disks disks;
    const std::string file = disks.scratch.path() + "/pool.yaml";
    write_file(file, "branches: " + disks.branches() +
                         "\n"
                         "create: ff\n"
                         "minfreespace: 0\n"
                         "rules:\n"
                         "  - {path: /films, branches: [" +
                         disks.at('b', "") + ", " + disks.at('d', "") +
                         "], policy: mfs}\n"
                         "  - {name: '*.iso', policy: mfs}\n"
                         "  - {uid: 1000, branches: [" +
                         disks.at('d', "") + "]}\n");
    Mount mount("config=" + file, "", disks.mnt);
    make_dirs(mount / "films");
    CHECK(disks.where("films") == "d");
    make_dirs(mount / "other");
    CHECK(disks.where("other") == "a");
    write_file(mount / "films/x.iso", "x");
    CHECK(disks.where("films/x.iso") == "d");
    write_file(mount / "other/x.iso", "x");
    CHECK(disks.where("other/x.iso") == "c");
    write_file(mount / "other/x", "x");
    CHECK(disks.where("other/x") == "a");
    OK(::chmod((mount / "other").c_str(), 0777));
    const std::string mine = mount / "other/mine";
    CHECK(as_user({}, [&] { return ::mkdir(mine.c_str(), 0755) == 0 ? 0 : errno; }) == 0);
    CHECK(disks.where("other/mine") == "d");
}

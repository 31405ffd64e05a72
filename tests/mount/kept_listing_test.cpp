// The kernel keeps the listing of a directory and serves it again without a request; whatever changes the directory,
// through the mount or on a branch of a pool, is seen at the next opendir.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

using Names = std::vector<std::string>;

void fill(Tree& tree) {
    const std::string second = tree.layered() ? static_cast<Layers&>(tree).lower2 : static_cast<Pool&>(tree).a;
    for (const std::string& root : {tree.below(), second}) {
        make_dirs(root + "/d/sub");
        write_file(root + "/d/both", root);
        write_file(root + "/d/sub/x", "x");
    }
    write_file(tree.below() + "/d/one", "1");
    write_file(second + "/d/two", "2");
    make_dirs(tree.below() + "/elsewhere");
    write_file(tree.below() + "/elsewhere/guest", "g");
    nap(150);  // changes that are too young are not told apart by their time
}

long requests(Tree& tree) {
    const Stats stats = tree.stats();
    return stats.request("readdir") + stats.request("readdirplus");
}

// Reads a directory until the kernel has its listing.
bool gets_kept(Tree& tree, const std::string& dir) {
    return eventually(
        [&] {
            list_dir(tree / dir);
            const long before = requests(tree);
            list_dir(tree / dir);
            return is_standin() || requests(tree) == before;
        },
        5000);
}

Names with(Names names, const std::string& name) {
    names.insert(std::upper_bound(names.begin(), names.end(), name), name);
    return names;
}

Names without(Names names, const std::string& name) {
    names.erase(std::remove(names.begin(), names.end(), name), names.end());
    return names;
}

}  // namespace

TEST_CASE("kept listings: a directory read before is served without a request") {
    in_both_modes(fill, [](Tree& tree) {
        CHECK(gets_kept(tree, "d"));
        CHECK(list_dir(tree / "d") == Names{"both", "one", "sub", "two"});
        CHECK(gets_kept(tree, "elsewhere"));
        CHECK(list_dir(tree / "elsewhere") == Names{"guest"});
    });
}

TEST_CASE("kept listings: each change through the mount is seen at once") {
    in_both_modes(fill, [](Tree& tree) {
        Names now{"both", "one", "sub", "two"};
        const auto change = [&](const char* what, Names then, auto&& act) {
            CAPTURE(std::string(what));
            REQUIRE(gets_kept(tree, "d"));
            REQUIRE(list_dir(tree / "d") == now);
            act();
            CHECK(list_dir(tree / "d") == then);
            CHECK(list_dir(tree / "d") == then);
            now = std::move(then);
        };
        const std::string d = tree / "d";
        change("copy-up, which gives the directory another branch", now,
               [&] { OK(::chmod((d + "/one").c_str(), 0600)); });
        change("a file", with(now, "new"), [&] { write_file(d + "/new", "n"); });
        change("unlink", without(now, "two"), [&] { OK(::unlink((d + "/two").c_str())); });
        change("unlink of a name on several branches", without(now, "both"),
               [&] { OK(::unlink((d + "/both").c_str())); });
        change("a name that was removed", with(now, "two"), [&] { OK(::mkdir((d + "/two").c_str(), 0755)); });
        change("link", with(now, "again"), [&] { OK(::link((d + "/one").c_str(), (d + "/again").c_str())); });
        change("symlink", with(now, "points"), [&] { OK(::symlink("one", (d + "/points").c_str())); });
        change("rename within", with(without(now, "new"), "renamed"),
               [&] { OK(::rename((d + "/new").c_str(), (d + "/renamed").c_str())); });
        change("rename over", without(now, "renamed"),
               [&] { OK(::rename((d + "/renamed").c_str(), (d + "/one").c_str())); });
        REQUIRE(gets_kept(tree, "elsewhere"));
        change("rename from elsewhere", with(now, "guest"),
               [&] { OK(::rename((tree / "elsewhere/guest").c_str(), (d + "/guest").c_str())); });
        CHECK(list_dir(tree / "elsewhere").empty());
        change("rmdir", without(now, "two"), [&] { OK(::rmdir((d + "/two").c_str())); });
        change("a nameless file that gets a name", with(now, "named"), [&] {
            const UniqueFd fd(::open(d.c_str(), O_TMPFILE | O_WRONLY, 0600));
            OK(fd.get());
            const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
            OK(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, (d + "/named").c_str(), AT_SYMLINK_FOLLOW));
        });
    });
}

TEST_CASE("kept listings: a directory made in place of one that was removed does not show the old one's names") {
    in_both_modes(fill, [](Tree& tree) {
        REQUIRE(gets_kept(tree, "d/sub"));
        REQUIRE(list_dir(tree / "d/sub") == Names{"x"});
        OK(::unlink((tree / "d/sub/x").c_str()));
        CHECK(list_dir(tree / "d/sub").empty());
        OK(::rmdir((tree / "d/sub").c_str()));
        OK(::mkdir((tree / "d/sub").c_str(), 0755));
        CHECK(list_dir(tree / "d/sub").empty());
        write_file(tree / "d/sub/y", "y");
        CHECK(list_dir(tree / "d/sub") == Names{"y"});
        CHECK(gets_kept(tree, "d/sub"));
        CHECK(list_dir(tree / "d/sub") == Names{"y"});
    });
}

TEST_CASE("kept listings: what changes on a branch of a pool is seen at the next opendir") {
    Pool tree;
    fill(tree);
    tree.mount();
    const Names before{"both", "one", "sub", "two"};
    REQUIRE(gets_kept(tree, "d"));
    REQUIRE(list_dir(tree / "d") == before);
    write_file(tree.b + "/d/behind", "b");
    CHECK(list_dir(tree / "d") == with(before, "behind"));
    REQUIRE(gets_kept(tree, "d"));
    OK(::unlink((tree.a + "/d/two").c_str()));
    OK(::unlink((tree.b + "/d/behind").c_str()));
    CHECK(list_dir(tree / "d") == without(before, "two"));
}

TEST_CASE("kept listings: changes on a branch in a row, each within a moment of a listing, are all seen") {
    Pool tree;
    make_dirs(tree.b + "/d");
    tree.mount();
    Names expected;
    for (int i = 100; i < 400; ++i) {
        write_file(tree.b + "/d/f" + std::to_string(i), "");
        expected.push_back("f" + std::to_string(i));
        REQUIRE(list_dir(tree / "d") == expected);
    }
}

TEST_CASE("kept listings: a reader half through an older listing does not leave it to others") {
    Pool tree;
    Names expected;
    make_dirs(tree.b + "/d");
    for (int i = 1000; i < 2500; ++i) {
        write_file(tree.b + "/d/f" + std::to_string(i), "");
        expected.push_back("f" + std::to_string(i));
    }
    tree.mount();
    nap(150);
    DIR* reader = ::opendir((tree / "d").c_str());
    REQUIRE(reader != nullptr);
    REQUIRE(::readdir(reader) != nullptr);
    write_file(tree.b + "/d/late", "");
    expected.push_back("late");
    nap(150);
    CHECK(list_dir(tree / "d") == expected);
    while (::readdir(reader)) {
    }
    ::closedir(reader);
    CHECK(list_dir(tree / "d") == expected);
}

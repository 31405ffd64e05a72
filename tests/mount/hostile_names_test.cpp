// What somebody plants on a branch: names and objects that programs trip over. They are walked, copied up, renamed and
// removed through the mount, as the file system below would have it.
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr DigestScope kSeen{.identity = false, .dir_details = false, .trusted = false, .mtimes = false};
constexpr std::size_t kLongest = 255;
constexpr int kMostLinks = 65000;  // of ext4

std::string repeated(const std::string& text, std::size_t size) {
    std::string out;
    while (out.size() + text.size() <= size) out += text;
    return out;
}

const std::vector<std::string>& hostile_names() {
    static const std::vector<std::string> names = {
        "new\nline",
        "\n",
        "tab\tbell\aescape\x1b[2J",
        " ",
        " leading",
        "-rf",
        "*",
        "$(reboot)",
        "`reboot`;\"'",
        "back\\slash\\012",
        "a,b:c=d",
        "...",
        "..x",
        "~",
        "%s%n",
        std::string(kLongest, 'x'),
        repeated("\xc3\xa4", kLongest),
        repeated("\xf0\x9f\x98\x80", kLongest - 1),
        "\xff\xfe invalid",
        "\x80",
        "\xc3(",
        "\xed\xa0\x80 surrogate",
        "\xc0\xaf overlong",
        "a\xcc\x88",  // the same to a reader as the next
        "\xc3\xa4",
        ".wh",
        "wh.x",
        ".plyfs",
        ".fuse_hidden0001",
        "#1234",
        "lost+found",
    };
    return names;
}

// A file, and a directory with one in it, for each name.
void plant(const std::string& at) {
    for (const char* folder : {"/files", "/dirs", "/links"}) make_dirs(at + folder);
    for (const std::string& name : hostile_names()) {
        write_file(at + "/files/" + name, name);
        make_dirs(at + "/dirs/" + name);
        write_file(at + "/dirs/" + name + "/" + name, name);
        OK(::symlink(name.c_str(), (at + "/links/" + name).c_str()));
    }
}

int rename_to(const std::string& from, const std::string& to) {
    return err_of(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE));
}

}  // namespace

TEST_CASE("hostile names: walked, copied up, renamed and removed") {
    std::unique_ptr<TreeDigest> planted;
    in_both_modes(
        [&](Tree& tree) {
            plant(tree.below());
            planted = std::make_unique<TreeDigest>(TreeDigest::of(tree.below(), kSeen));
        },
        [&](Tree& tree) {
            CHECK(planted->difference(TreeDigest::of(tree.mnt(), kSeen)) == "");
            for (const std::string& name : hostile_names()) {
                INFO(name);
                const std::string file = tree / "files/" + name, dir = tree / "dirs/" + name;
                OK(::chmod(file.c_str(), 0600));
                CHECK(stat_of(file).st_mode == (S_IFREG | 0600));
                write_fd(open_file(file, O_WRONLY | O_APPEND).get(), "+", static_cast<off_t>(name.size()));
                CHECK(read_file(file) == name + "+");
                OK(::lchown((tree / "links/" + name).c_str(), 1, 2));
                CHECK(link_target(tree / "links/" + name) == name);
                CHECK(rename_to(file, file) == EEXIST);
                CHECK(rename_to(file, tree / "dirs/" + name + "/moved") == 0);
                CHECK(rename_to(dir + "/moved", file) == 0);
                CHECK(rename_to(dir, tree / "files/dir") == 0);
                CHECK(list_dir(tree / "files/dir") == std::vector<std::string>{name});
                CHECK(rename_to(tree / "files/dir", dir) == 0);
                CHECK(read_file(dir + "/" + name) == name);
            }
            auto names = hostile_names();
            std::sort(names.begin(), names.end());
            for (const char* folder : {"files", "dirs", "links"}) CHECK(list_dir(tree / folder) == names);
            const auto seen = TreeDigest::of(tree.mnt(), kSeen);
            tree.unmount();
            tree.mount();
            CHECK(seen.difference(TreeDigest::of(tree.mnt(), kSeen)) == "");
            must_run({"rm", "-rf", "--", tree / "files", tree / "dirs", tree / "links"});
            CHECK(list_dir(tree.mnt()).empty());
            // As new ones.
            plant(tree.mnt());
            CHECK(planted->difference(TreeDigest::of(tree.mnt(), kSeen)) == "");
            tree.unmount();
            tree.mount();
            CHECK(planted->difference(TreeDigest::of(tree.mnt(), kSeen)) == "");
        });
}

TEST_CASE("hostile names: one byte more is ENAMETOOLONG, as is a path") {
    in_both_modes([&](Tree& tree) {
        const std::string more(kLongest + 1, 'x');
        struct stat st;
        FAILS(ENAMETOOLONG, ::stat((tree / more).c_str(), &st));
        FAILS(ENAMETOOLONG, ::mkdir((tree / more).c_str(), 0755));
        write_file(tree / "f", "x");
        FAILS(ENAMETOOLONG, ::rename((tree / "f").c_str(), (tree / more).c_str()));
        FAILS(ENAMETOOLONG, ::link((tree / "f").c_str(), (tree / more).c_str()));
        FAILS(ENAMETOOLONG, ::symlink(std::string(4096, 'x').c_str(), (tree / "s").c_str()));
        CHECK(list_dir(tree.mnt()) == std::vector<std::string>{"f"});
    });
}

TEST_CASE("hostile objects: long links, loops, sockets, pipes and devices are copied up as they are") {
    const std::string longest(4095, 'y'), path = repeated("../", 4095);
    const auto make = [&](const std::string& at) {
        OK(::symlink(longest.c_str(), (at + "/longest").c_str()));
        OK(::symlink(path.c_str(), (at + "/path").c_str()));
        OK(::symlink("loop2", (at + "/loop1").c_str()));
        OK(::symlink("loop1", (at + "/loop2").c_str()));
        OK(::symlink("self/self", (at + "/self").c_str()));
        OK(::symlink("/proc/self/root", (at + "/root").c_str()));
        OK(::mknod((at + "/socket").c_str(), S_IFSOCK | 0622, 0));
        OK(::mkfifo((at + "/fifo").c_str(), 0640));
    };
    in_both_modes([&](Tree& tree) { make(tree.below()); },
                  [&](Tree& tree) {
                      const std::vector<std::string> names = list_dir(tree.below());
                      CHECK(list_dir(tree.mnt()) == names);
                      for (const char* loop : {"loop1", "loop2", "self"})
                          CHECK(try_open(tree / loop, O_RDONLY) == ELOOP);
                      for (const std::string& name : names) {
                          INFO(name);
                          const struct stat before = lstat_of(tree / name);
                          OK(::lchown((tree / name).c_str(), 21, 22));
                          OK(::rename((tree / name).c_str(), (tree / ("new " + name)).c_str()));
                          const struct stat after = lstat_of(tree / ("new " + name));
                          CHECK(after.st_mode == before.st_mode);
                          CHECK(after.st_uid == 21);
                          CHECK(after.st_size == before.st_size);
                      }
                      tree.unmount();
                      tree.mount();
                      CHECK(link_target(tree / "new longest") == longest);
                      CHECK(link_target(tree / "new path") == path);
                      CHECK(list_dir(tree.mnt()).size() == names.size());
                      for (const std::string& name : list_dir(tree.mnt())) OK(::unlink((tree / name).c_str()));
                      CHECK(list_dir(tree.mnt()).empty());
                  });
}

TEST_CASE("hostile names: those of AUFS' marks are files in a pool, and marks in layers") {
    const std::vector<std::string> marks = {".wh..wh.aufs", ".wh..wh.x", ".wh.gone"};
    {
        Pool pool;
        write_file(pool.b + "/gone", "x");
        for (const std::string& name : marks) write_file(pool.b + "/" + name, "");
        pool.mount();
        CHECK(list_dir(pool.mnt()).size() == 4);
        for (const std::string& name : marks) {
            CHECK(rename_to(pool / name, pool / (name + "2")) == 0);
            OK(::unlink((pool / (name + "2")).c_str()));
            write_file(pool / name, "made");
            CHECK(read_file(pool / name) == "made");
        }
        CHECK(read_file(pool / "gone") == "x");
    }
    Layers layers;
    write_file(layers.lower2 + "/gone", "x");
    for (const std::string& name : marks) write_file(layers.lower + "/" + name, "");
    layers.mount();
    CHECK(list_dir(layers.mnt()).empty());
    for (const std::string& name : marks) {
        struct stat st;
        FAILS(ENOENT, ::stat((layers / name).c_str(), &st));
        FAILS(EINVAL, ::mkdir((layers / name).c_str(), 0755));
    }
    write_file(layers / "gone", "made");
    CHECK(read_file(layers / "gone") == "made");
}

TEST_CASE("hostile names: a file with as many names as its file system can have") {
    std::unique_ptr<Layers> tree = std::make_unique<Layers>(LayersSpec{.mib = 96});
    const auto name = [](int i) { return "link " + std::to_string(i); };
    make_dirs(tree->lower + "/d");
    const std::string first = tree->lower + "/d/" + name(0);
    write_file(first, "many");
    int links = 1;
    while (links < kMostLinks && ::link(first.c_str(), (tree->lower + "/d/" + name(links)).c_str()) == 0) ++links;
    if (links < kMostLinks) skip("this file system can not have so many links");
    tree->mount();
    CHECK(list_dir(*tree / "d").size() == kMostLinks);
    CHECK(stat_of(*tree / "d/" + name(7)).st_nlink == kMostLinks);
    write_fd(open_file(*tree / "d/" + name(1), O_WRONLY).get(), "MANY", 0);
    OK(::unlink((*tree / "d/" + name(2)).c_str()));
    OK(::rename((*tree / "d/" + name(3)).c_str(), (*tree / "d/renamed").c_str()));
    int others = 0;
    for (int i = 4; i < 500; ++i) others += read_file(*tree / "d/" + name(i)) != "MANY";
    CHECK(others == 0);
    CHECK(stat_of(*tree / "d/renamed").st_nlink == kMostLinks - 1);
    CHECK(list_dir(*tree / "d").size() == kMostLinks - 1);
    tree->unmount();
    tree->mount();
    CHECK(read_file(*tree / "d/" + name(kMostLinks - 1)) == "MANY");
    CHECK(read_file(*tree / "d/renamed") == "MANY");
    CHECK(stat_of(*tree / "d/renamed").st_nlink == kMostLinks - 1);
}

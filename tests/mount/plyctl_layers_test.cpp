// plyctl diff and commit: what the upper of layers changes, as a list, as an archive and as a layer of its own.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;
using plyfs::Json;

namespace {

std::string diff_of(const std::string& mnt) {
    const Ran ran = run_plyctl({"diff", mnt}, 60);
    INFO(ran.err);
    CHECK(ran.code == 0);
    return ran.out;
}

std::string refused(const std::vector<std::string>& args) {
    const Ran ran = run_plyctl(args, 60);
    INFO(ran.out);
    CHECK(ran.code != 0);
    CHECK(ran.err.find("plyctl: ") == 0);
    CHECK(ran.err.find('\n') == ran.err.size() - 1);
    return ran.err;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

void fill(const Layers& tree) {
    make_dirs(tree.lower + "/d/e");
    make_dirs(tree.lower2 + "/d/deep/er");
    make_dirs(tree.lower2 + "/emptied");
    make_dirs(tree.lower2 + "/moved/sub");
    write_file(tree.lower + "/d/kept", "kept");
    write_file(tree.lower + "/d/changed", "before");
    write_file(tree.lower + "/d/touched", pattern(100'000));
    write_file(tree.lower2 + "/d/gone", "gone");
    write_file(tree.lower2 + "/d/deep/er/f", "f");
    write_file(tree.lower2 + "/emptied/one", "1");
    write_file(tree.lower2 + "/emptied/two", "2");
    write_file(tree.lower2 + "/moved/sub/file", "moved");
    write_file(tree.lower2 + "/becomes-dir", "x");
    write_file(tree.lower + "/replaced", "below");
    write_file(tree.lower2 + "/h1", "linked");
    OK(::link((tree.lower2 + "/h1").c_str(), (tree.lower2 + "/d/h2").c_str()));
}

// By way of the mount, so that every mark has the form that it writes.
void change(const Layers& tree) {
    write_file(tree / "d/changed", "after");
    OK(::chmod((tree / "d/touched").c_str(), 0600));
    OK(::unlink((tree / "d/gone").c_str()));
    make_dirs(tree / "new/dir");
    write_file(tree / "new/dir/file", pattern(300'000, 3), 04755);
    write_file(tree / "\xff odd", "odd");
    for (std::string name : {"one", "two"}) OK(::unlink((tree / ("emptied/" + name)).c_str()));
    OK(::rmdir((tree / "emptied").c_str()));
    make_dirs(tree / "emptied");
    write_file(tree / "emptied/two", "another");
    OK(::unlink((tree / "becomes-dir").c_str()));
    make_dirs(tree / "becomes-dir");
    write_file(tree / "replacement", "above");
    OK(::rename((tree / "replacement").c_str(), (tree / "replaced").c_str()));
    OK(::symlink("d/kept", (tree / "link").c_str()));
    OK(::mkfifo((tree / "fifo").c_str(), 0640));
    OK(::link((tree / "new/dir/file").c_str(), (tree / "second-name").c_str()));
    const UniqueFd sparse = open_file(tree / "sparse", O_CREAT | O_WRONLY);
    OK(::ftruncate(sparse.get(), 8 << 20));
    write_fd(sparse.get(), "end", (8 << 20) - 3);
    const timespec old[2] = {{1000, 5}, {2000, 7}};
    OK(::utimensat(AT_FDCWD, (tree / "new/dir").c_str(), old, 0));
}

const std::string kChanges =
    "A /\xff odd\n"
    "M /becomes-dir/\n"
    "M /d/changed\n"
    "D /d/gone\n"
    "M /d/touched\n"
    "D /emptied/one\n"
    "M /emptied/two\n"
    "A /fifo\n"
    "A /link\n"
    "A /new/\n"
    "A /new/dir/\n"
    "A /new/dir/file\n"
    "M /replaced\n"
    "A /second-name\n"
    "A /sparse\n";

std::string sorted(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at) + 1;
        lines.push_back(text.substr(at, end - at));
        at = end;
    }
    std::sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.substr(2) < b.substr(2); });
    std::string out;
    for (const auto& line : lines) out += line;
    return out;
}

// What an archive of a layer says to whoever has the layers below in a directory.
void apply_archive(const std::string& archive, const std::string& to) {
    must_run({"sh", "-c",
              "cd \"$1\" && tar -tf \"$2\" | grep -E '(^|/)\\.wh\\.[^/]*$' | while read -r name; do "
              "rm -rf \"./$(dirname \"$name\")/$(basename \"$name\" | sed 's/^\\.wh\\.//')\"; done && "
              "rm -f becomes-dir && tar -xpf \"$2\" --xattrs '--xattrs-include=*' --same-owner '--exclude=.wh.*'",
              "sh", to, archive});
}

}  // namespace

TEST_CASE("plyctl: diff lists what the upper changes, in whatever form its marks are written") {
    if (is_standin()) skip("about plyfs itself");
    for (std::string options : {"", "upper-format=aufs", "upper-format=overlay-user", "userxattr", "metacopy=on"}) {
        CAPTURE(options);
        Layers tree;
        fill(tree);
        tree.mount(options);
        CHECK(diff_of(tree.mnt()) == "");
        change(tree);
        const std::string list = diff_of(tree.mnt());
        CHECK(sorted(list) == sorted(kChanges));
        tree.unmount();
        tree.mount(options);
        CHECK(diff_of(tree.mnt()) == list);
    }
}

TEST_CASE("plyctl: diff tells of directories that were renamed or changed themselves, in JSON too") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    fill(tree);
    tree.mount();
    OK(::rename((tree / "moved").c_str(), (tree / "d/here").c_str()));
    OK(::chmod((tree / "d/deep").c_str(), 0700));
    OK(::setxattr((tree / "d/e").c_str(), "user.note", "x", 1, 0));
    CHECK(diff_of(tree.mnt()) == "M /d/deep/\nM /d/e/\nA /d/here/\nA /d/here/sub/\nA /d/here/sub/file\nD /moved/\n");
    const Ran ran = run_plyctl({"diff", "--json", tree.mnt()});
    std::string fault;
    const auto json = Json::read(ran.out, fault);
    REQUIRE_MESSAGE(json, fault);
    const auto& changes = (*json)["changes"].items();
    REQUIRE(changes.size() == 6);
    CHECK(changes[0]["change"].text() == "M");
    CHECK(changes[0]["path"].text() == "d/deep");
    CHECK(changes[4]["type"].text() == "file");
}

TEST_CASE("plyctl: diff knows all names of a file of the layers below that was changed under one") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    fill(tree);
    tree.mount("index=on");
    if (!exists(tree.work + "/index")) skip("no index here");
    write_file(tree / "h1", "both");
    REQUIRE(read_file(tree / "d/h2") == "both");
    CHECK(diff_of(tree.mnt()) == "M /d/h2\nM /h1\n");
    OK(::unlink((tree / "h1").c_str()));
    REQUIRE(read_file(tree / "d/h2") == "both");
    CHECK(diff_of(tree.mnt()) == "M /d/h2\nD /h1\n");
}

TEST_CASE("plyctl: an archive of the changes makes of the layers below what is seen") {
    if (is_standin()) skip("about plyfs itself");
    if (!have_tool("tar")) skip("tar is not installed");
    Layers tree;
    fill(tree);
    tree.mount("metacopy=on");
    const std::string before = tree.scratch().path() + "/before";
    must_run({"cp", "-a", tree.mnt(), before});
    change(tree);
    OK(::rename((tree / "moved").c_str(), (tree / "d/here").c_str()));
    OK(::setxattr((tree / "new/dir/file").c_str(), "user.note", "kept", 4, 0));
    const std::string archive = tree.scratch().path() + "/layer.tar";
    const Ran ran = run_plyctl({"diff", tree.mnt(), "--tar", archive}, 60);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK(ran.out.empty());
    apply_archive(archive, before);
    DigestScope scope{.identity = false, .dir_details = false, .trusted = false, .mtimes = true};
    CHECK(TreeDigest::of(before, scope).difference(TreeDigest::of(tree.mnt(), scope)) == "");
    CHECK(stat_of(before + "/second-name").st_ino == stat_of(before + "/new/dir/file").st_ino);
    CHECK(has(refused({"diff", tree.mnt(), "--tar", archive}), "is there already"));
    const Ran piped = shell(plyctl_binary() + " diff " + tree.mnt() + " --tar - | tar -t", 60);
    CHECK(piped.code == 0);
    CHECK(has(piped.out, "d/.wh.gone\n"));
    CHECK(has(piped.out, "emptied/.wh.one\n"));
    CHECK_FALSE(exists(archive + ".part"));
}

TEST_CASE("plyctl: commit makes a layer of the upper, and with it the tree is the same") {
    if (is_standin()) skip("about plyfs itself");
    for (std::string options : {"metacopy=on", "upper-format=aufs"}) {
        CAPTURE(options);
        Layers tree;
        fill(tree);
        tree.mount(options);
        change(tree);
        if (options == "metacopy=on") OK(::rename((tree / "moved").c_str(), (tree / "d/here").c_str()));
        set_xattr(tree / "d/changed", "trusted.overlay.of-a-user", "nested");
        const bool protects = options == "metacopy=on" && !is_unprivileged();
        if (protects) must_run({"chattr", "+i", tree / "new/dir/file"});
        const auto upper = TreeDigest::of(tree.upper);
        const std::string layer = tree.scratch().path() + "/layer";
        const Ran ran = run_plyctl({"commit", tree.mnt(), layer}, 60);
        INFO(ran.out, ran.err);
        REQUIRE(ran.code == 0);
        CHECK(TreeDigest::of(tree.upper).difference(upper) == "");
        const std::string again = tree.scratch().dir("again");
        const Mount mount("lowerdir=" + layer + ":" + tree.lower + ":" + tree.lower2, "", again);
        CHECK(TreeDigest::seen(again).difference(TreeDigest::seen(tree.mnt())) == "");
        CHECK(stat_of(layer + "/sparse").st_blocks < 1000);
        CHECK(stat_of(layer + "/second-name").st_ino == stat_of(layer + "/new/dir/file").st_ino);
        CHECK_FALSE(exists(layer + ".part"));
        if (!protects) continue;
        FAILS(EPERM, ::unlink((layer + "/new/dir/file").c_str()));
        for (const std::string& root : {layer, tree.mnt()}) must_run({"chattr", "-i", root + "/new/dir/file"});
    }
}

TEST_CASE("plyctl: diff goes deeper than it may have files open") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    std::string deep = "d";
    for (int i = 0; i < 40; ++i) deep += "/d";
    make_dirs(tree.lower + "/" + deep);
    make_dirs(tree.lower2 + "/" + deep);
    tree.mount();
    write_file(tree / (deep + "/new"), "new");
    const Ran ran = shell("ulimit -Sn 60; exec " + plyctl_binary() + " diff " + tree.mnt(), 60);
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.out == "A /" + deep + "/new\n");
}

TEST_CASE("plyctl: commit and diff refuse what they can not do in one line") {
    if (is_standin()) skip("about plyfs itself");
    Layers tree;
    fill(tree);
    tree.mount();
    CHECK(has(refused({"commit", tree.mnt(), tree / "inside"}), "lies in the mount"));
    CHECK(has(refused({"commit", tree.mnt(), tree.upper + "/inside"}), "lies in the layer"));
    CHECK(has(refused({"commit", tree.mnt(), tree.scratch().path()}), "is there already"));
    CHECK(has(refused({"commit", tree.mnt(), "/no/such/dir"}), "No such file"));
    make_dirs(tree.scratch().path() + "/x.part");
    CHECK(has(refused({"commit", tree.mnt(), tree.scratch().path() + "/x"}), "interrupted"));
    CHECK(has(refused({"diff", "--json", "--tar=-", tree.mnt()}), "leave out one"));
    write_file(tree / ".whale", "a name as any other");
    CHECK(has(diff_of(tree.mnt()), "A /.whale\n"));
    tree.unmount();
    const std::string merged = tree.scratch().dir("merged");
    const Mount readers("lowerdir=" + tree.lower + ":" + tree.lower2, "", merged);
    CHECK(has(refused({"diff", merged}), "no upper layer"));
    Pool pool;
    pool.mount();
    CHECK(has(refused({"diff", pool.mnt()}), "is a pool"));
    CHECK(has(refused({"commit", pool.mnt(), tree.scratch().path() + "/new"}), "is a pool"));
}

// plyctl fsck --fix: copies that differ are made the same by a rule, and what nobody needs goes.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/json.h"
#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/trees.h"

using namespace plyfs::test;
using plyfs::Json;

namespace {

struct Ground {
    Ground() : a(scratch.dir("a")), b(scratch.dir("b")), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
    }
    std::string branches() const { return a + ":" + b; }
    Scratch scratch;
    std::string a, b, mnt;
};

void write_copy(const std::string& path, const std::string& text, time_t when) {
    write_file(path, text);
    const timespec times[2] = {{when, 0}, {when, 0}};
    OK(::utimensat(AT_FDCWD, path.c_str(), times, 0));
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("plyctl: fsck --fix makes copies the same by the rule that is given") {
    const std::vector<std::pair<std::string, std::string>> rules = {
        {"first", "aa"}, {"newest", "b"}, {"largest", "aa"}};
    for (const auto& [rule, kept] : rules) {
        CAPTURE(rule);
        Ground g;
        write_copy(g.a + "/f", "aa", 1000);
        write_copy(g.b + "/f", "b", 2000);
        OK(::setxattr((g.a + "/f").c_str(), "user.from", "a", 1, 0));
        write_copy(g.a + "/same", "same", 1000);
        write_copy(g.b + "/same", "same", 1000);
        make_dirs(g.a + "/d");
        make_dirs(g.b + "/d");
        OK(::chmod((g.b + "/d").c_str(), 0700));
        const auto same = stat_of(g.b + "/same").st_ino;
        Mount mount("", g.branches(), g.mnt);
        REQUIRE(read_file(mount / "f") == "aa");
        CHECK(run_plyctl({"fsck", g.mnt, "--fix"}).code == 1);  // no rule says which one is right
        CHECK(read_file(g.b + "/f") == "b");
        const Ran ran = run_plyctl({"fsck", g.mnt, "--keep", rule});
        INFO(ran.out, ran.err);
        CHECK(ran.code == 0);
        CHECK(has(ran.out, "2 differences, 2 mended"));
        for (const std::string& branch : {g.a, g.b}) {
            CHECK(read_file(branch + "/f") == kept);
            CHECK(stat_of(branch + "/f").st_mtim.tv_sec == (kept == "b" ? 2000 : 1000));
            CHECK(get_xattr(branch + "/f", "user.from") == (kept == "b" ? "(none)" : "a"));
        }
        CHECK((stat_of(g.a + "/d").st_mode & 0777) == (stat_of(g.b + "/d").st_mode & 0777));
        CHECK(stat_of(g.b + "/same").st_ino == same);
        CHECK(eventually([&] { return read_file(mount / "f") == kept; }));
        CHECK(run_plyctl({"fsck", "--content", g.mnt}).code == 0);
        CHECK(list_dir(g.b) == std::vector<std::string>{"d", "f", "same"});
    }
}

TEST_CASE("plyctl: fsck --fix leaves alone what is open, linked or of another type") {
    Ground g;
    for (std::string name : {"/open", "/linked", "/type", "/written"}) write_copy(g.a + name, "first", 1000);
    for (std::string name : {"/open", "/linked", "/written"}) write_copy(g.b + name, "other", 2000);
    OK(::link((g.b + "/linked").c_str(), (g.b + "/second").c_str()));
    make_dirs(g.b + "/type");
    Mount mount("", g.branches(), g.mnt);
    const UniqueFd reader = open_file(g.b + "/open", O_RDONLY);
    const UniqueFd writer = open_file(mount / "written", O_WRONLY);
    const Ran ran = run_plyctl({"fsck", "--json", g.mnt, "--keep=first"});
    INFO(ran.out, ran.err);
    CHECK(ran.code == 1);
    std::string fault;
    const auto json = Json::read(ran.out, fault);
    REQUIRE_MESSAGE(json, fault);
    REQUIRE((*json)["found"].items().size() == 4);
    for (const Json& one : (*json)["found"].items()) {
        CAPTURE(one["path"].text());
        CHECK_FALSE(one["fixed"].is_true());
        CHECK_FALSE(one["stays"].text().empty());
    }
    CHECK(read_fd(reader.get()) == "other");
    for (std::string name : {"/open", "/linked", "/written"}) CHECK(read_file(g.b + name) == "other");
    // What is open is the mount's winner, which the rule would give up.
    const Ran newest = run_plyctl({"fsck", g.mnt, "--keep=newest"});
    CHECK(has(newest.out, "/written"));
    CHECK(read_file(g.a + "/written") == "first");
    CHECK(read_file(g.a + "/open") == "other");
    write_fd(writer.get(), "FIRST", 0);
    CHECK(read_file(g.a + "/written") == "FIRST");
}

TEST_CASE("plyctl: fsck --fix removes whiteouts that hide nothing, and keeps the others") {
    if (is_standin()) skip("about plyfs itself");
    for (std::string options : {"", "upper-format=aufs"}) {
        CAPTURE(options);
        Layers tree;
        make_dirs(tree.lower + "/d");
        write_file(tree.lower + "/d/gone", "x");
        tree.mount(options);
        OK(::unlink((tree / "d/gone").c_str()));
        tree.unmount();
        const bool aufs = !options.empty();
        if (aufs) write_file(tree.upper + "/d/.wh.nothing", "");
        if (!aufs) OK(::mknod((tree.upper + "/d/nothing").c_str(), S_IFCHR, makedev(0, 0)));
        tree.mount(options);
        CHECK(has(run_plyctl({"fsck", tree.mnt()}).out, "/d/nothing: a whiteout on "));
        const Ran ran = run_plyctl({"fsck", "--fix", tree.mnt()});
        INFO(ran.out, ran.err);
        CHECK(ran.code == 0);
        CHECK(list_dir(tree.upper + "/d") == std::vector<std::string>{aufs ? ".wh.gone" : "gone"});
        CHECK_FALSE(exists(tree / "d/gone"));
        CHECK(run_plyctl({"fsck", tree.mnt()}).code == 0);
        CHECK(run_plyctl({"fsck", "--keep=first", tree.mnt()}).code == 1);
    }
}

TEST_CASE("plyctl: fsck --fix removes whiteouts of a pool, and what a killed mount has left") {
    Ground g;
    need_privilege("devices");
    write_file(g.b + "/hidden", "x");
    for (std::string name : {"/hidden", "/nothing"}) OK(::mknod((g.a + name).c_str(), S_IFCHR, makedev(0, 0)));
    make_dirs(g.b + "/.plyfs.work");
    Mount mount("", g.a + ":" + g.b + "=ro", g.mnt);
    // Of a pool that was killed after this one was mounted, which has swept what was there then.
    make_dirs(g.a + "/.plyfs.work5");
    write_file(g.a + "/.plyfs.work5/#1", "left");
    const Ran found = run_plyctl({"fsck", g.mnt});
    INFO(found.out, found.err);
    CHECK(found.code == 1);
    CHECK(has(found.out, "/nothing: a whiteout on " + g.a + " that hides nothing\n"));
    CHECK(has(found.out, "/.plyfs.work5: 1 objects on " + g.a));
    CHECK_FALSE(has(found.out, "/hidden"));
    const Ran ran = run_plyctl({"fsck", "--fix", g.mnt});
    INFO(ran.out, ran.err);
    CHECK(ran.code == 0);
    CHECK_FALSE(exists(g.a + "/.plyfs.work5"));
    CHECK_FALSE(exists(g.a + "/nothing"));
    CHECK(exists(g.a + "/hidden"));
    CHECK_FALSE(exists(mount / "hidden"));
}

// plyctl dup and dedup: more and fewer copies of a pool's files, and nothing is ever lost.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/json.h"
#include "mount/pool_ground.h"
#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"

using namespace plyfs::test;
using plyfs::Json;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("plyctl: dup copies what matches to further branches, with all that it is") {
    PoolGround g;
    g.fill("a:d/e/f.mkv a:d/other b:g.mkv c:h.mkv");
    const std::string data = pattern(300'000);
    write_file(g.at('a', "d/e/f.mkv"), data, 0640);
    OK(::chown(g.at('a', "d/e/f.mkv").c_str(), 12, 34));
    OK(::chmod(g.at('a', "d/e").c_str(), 0710));
    const timespec old[2] = {{1000, 5}, {2000, 7}};
    OK(::utimensat(AT_FDCWD, g.at('a', "d/e/f.mkv").c_str(), old, 0));
    Mount mount("minfreespace=0", g.branches("a:b:c"), g.mnt);
    const Ran ran = run_plyctl({"dup", g.mnt, "*.mkv"}, 60);
    INFO(ran.out, ran.err);
    CHECK(ran.code == 0);
    CHECK(has(ran.out, "3 copies with "));
    CHECK(g.where("d/e/f.mkv").size() == 2);
    CHECK(g.where("g.mkv").size() == 2);
    CHECK(g.where("h.mkv").size() == 2);
    CHECK(g.where("d/other") == "a");
    const char to = g.where("d/e/f.mkv")[1];
    CHECK(read_file(g.at(to, "d/e/f.mkv")) == data);
    const auto st = stat_of(g.at(to, "d/e/f.mkv"));
    CHECK((st.st_mode & 07777) == 0640);
    CHECK(st.st_uid == 12);
    CHECK(st.st_gid == 34);
    CHECK(ns(st.st_mtim) == 2000000000007LL);
    CHECK((stat_of(g.at(to, "d/e")).st_mode & 07777) == 0710);
    CHECK(has(run_plyctl({"dup", g.mnt, "*.mkv"}).out, "0 copies"));
    CHECK(run_plyctl({"dup", g.mnt, "/d/*", "--copies=3"}).code == 0);
    CHECK(g.where("d/other") == "abc");
    CHECK(g.where("d/e/f.mkv").size() == 2);
    const Ran many = run_plyctl({"dup", g.mnt, "h.mkv", "--copies=4"});
    CHECK(many.code == 1);
    CHECK(has(many.out, "h.mkv stays: there are not so many branches"));
    CHECK(run_plyctl({"fsck", "--content", g.mnt}).code == 0);
    for (char letter : std::string("abc")) {
        for (const std::string& name : list_dir(g.at(letter, ""))) CHECK_FALSE(name.starts_with(".plyfs.work1"));
    }
}

TEST_CASE("plyctl: dup leaves alone what is open, linked or does not fit") {
    PoolGround g("ab");
    g.fill("a:open a:linked a:large");
    OK(::link(g.at('a', "linked").c_str(), g.at('a', "linked2").c_str()));
    write_file(g.at('a', "large"), pattern(12 << 20));
    Mount mount("minfreespace=6M", g.branches("a:b"), g.mnt);
    REQUIRE(eventually([&] { return has(run_plyctl({"status", "--json", g.mnt}).out, "\"reserve\":6291456"); }));
    const UniqueFd open = open_file(mount / "open", O_RDWR);
    const Ran ran = run_plyctl({"dup", g.mnt, "--json"}, 60);
    INFO(ran.out, ran.err);
    CHECK(ran.code == 1);
    std::string fault;
    const auto json = Json::read(ran.out, fault);
    REQUIRE_MESSAGE(json, fault);
    CHECK((*json)["made"].number() == 0);
    CHECK((*json)["stayed"].items().size() == 4);
    for (std::string name : {"open", "linked", "linked2", "large"}) CHECK(g.where(name) == "a");
}

TEST_CASE("plyctl: dedup removes what is the same as what is seen, and nothing else") {
    PoolGround g;
    const auto write_all = [&](const std::string& name, const std::string& letters) {
        for (char letter : letters) {
            write_file(g.at(letter, name), "as many bytes");
            const timespec times[2] = {{1000, 0}, {1000, 0}};
            OK(::utimensat(AT_FDCWD, g.at(letter, name).c_str(), times, 0));
        }
    };
    for (std::string name : {"same", "bytes", "noted", "timed", "open"}) write_all(name, "abc");
    write_all("one", "b");
    write_file(g.at('b', "bytes"), "other content");
    const timespec times[2] = {{1000, 0}, {1000, 0}};
    OK(::utimensat(AT_FDCWD, g.at('b', "bytes").c_str(), times, 0));
    OK(::chmod(g.at('b', "noted").c_str(), 0600));
    write_file(g.at('b', "timed"), "as many bytes");
    Mount mount("category.search=ff", g.branches("a:b:c"), g.mnt);
    const UniqueFd reader = open_file(g.at('c', "open"), O_RDONLY);
    CHECK(run_plyctl({"dedup", g.mnt, "same", "--copies=2"}).code == 0);
    CHECK(g.where("same") == "ab");
    const Ran ran = run_plyctl({"dedup", g.mnt}, 60);
    INFO(ran.out, ran.err);
    CHECK(ran.code == 1);
    CHECK(g.where("same") == "a");
    CHECK(g.where("one") == "b");
    CHECK(g.where("bytes") == "ab");
    CHECK(g.where("noted") == "ab");
    CHECK(g.where("timed") == "ab");
    CHECK(g.where("open") == "ac");
    CHECK(has(ran.out, "bytes stays: the copies differ in what they contain (" + g.at('b', "") + ")"));
    CHECK(has(ran.out, "open stays: somebody has it open"));
    CHECK(read_file(mount / "same") == "as many bytes");
}

// drain and balance: files move between the branches of a pool that is in use, and nothing of them is lost.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <memory>
#include <thread>

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

Json json_of(const Ran& ran) {
    INFO(ran.out, ran.err);
    std::string fault;
    const auto json = Json::read(ran.out, fault);
    REQUIRE_MESSAGE(json, fault);
    return *json;
}

// In the root of an ext4 of its own would be lost+found; the branches of Pool lie below.
std::vector<std::string> left_on(const std::string& branch) {
    auto names = list_dir(branch);
    std::erase_if(names, [](const std::string& name) { return name.starts_with(".plyfs."); });
    return names;
}

double used_share(const std::string& mnt, std::size_t branch) {
    const Json status = json_of(run_plyctl({"status", "--json", mnt}));
    const Json& json = status["branches"].items()[branch];
    return 1 - json["available"].real() / json["total"].real();
}

}  // namespace

TEST_CASE("plyctl: drain empties a branch, with all that files are") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool;
    make_dirs(pool.b + "/d/e");
    make_dirs(pool.b + "/empty");
    make_dirs(pool.a + "/d");
    const std::string data = pattern(3 << 20);
    write_file(pool.b + "/d/e/big", data, 0640);
    write_file(pool.b + "/d/small", "small");
    OK(::link((pool.b + "/d/small").c_str(), (pool.b + "/other-name").c_str()));
    OK(::symlink("d/small", (pool.b + "/link").c_str()));
    OK(::mkfifo((pool.b + "/d/fifo").c_str(), 0600));
    write_file(pool.b + "/\xff\xfe odd\n", "odd");
    OK(::setxattr((pool.b + "/d/e/big").c_str(), "user.note", "kept", 4, 0));
    OK(::chown((pool.b + "/d/e/big").c_str(), 1234, 5678));
    {
        UniqueFd sparse = open_file(pool.b + "/d/sparse", O_CREAT | O_WRONLY);
        OK(::ftruncate(sparse.get(), 20 << 20));
        write_fd(sparse.get(), "end", (20 << 20) - 3);
    }
    const timespec old[2] = {{1000, 5}, {2000, 7}};
    OK(::utimensat(AT_FDCWD, (pool.b + "/d/e/big").c_str(), old, 0));
    OK(::chmod((pool.b + "/empty").c_str(), 0710));
    pool.mount("create=ff");
    const auto inode = stat_of(pool / "d/small").st_ino;
    const Ran ran = run_plyctl({"drain", "--json", pool.mnt(), pool.b}, 60);
    CHECK(ran.code == 0);
    const Json report = json_of(ran);
    INFO(ran.out);
    CHECK(report["stayed"].items().empty());
    CHECK(left_on(pool.b).empty());
    CHECK(read_file(pool.a + "/d/e/big") == data);
    CHECK(read_file(pool / "d/e/big") == data);
    const auto big = stat_of(pool / "d/e/big");
    CHECK((big.st_mode & 07777) == 0640);
    CHECK(big.st_uid == 1234);
    CHECK(big.st_gid == 5678);
    CHECK(ns(big.st_mtim) == 2000000000007LL);
    CHECK(get_xattr(pool / "d/e/big", "user.note") == "kept");
    CHECK(stat_of(pool.a + "/d/small").st_ino == stat_of(pool.a + "/other-name").st_ino);
    CHECK(stat_of(pool / "d/small").st_ino == inode);
    CHECK(stat_of(pool / "other-name").st_nlink == 2);
    CHECK(link_target(pool / "link") == "d/small");
    CHECK(S_ISFIFO(lstat_of(pool / "d/fifo").st_mode));
    CHECK(read_file(pool / "\xff\xfe odd\n") == "odd");
    CHECK(stat_of(pool / "d/sparse").st_size == 20 << 20);
    CHECK(stat_of(pool.a + "/d/sparse").st_blocks < 1000);
    CHECK((stat_of(pool / "empty").st_mode & 07777) == 0710);
    CHECK(run_plyctl({"get", pool.mnt(), "branches"}).out.find(pool.b + "=NC") != std::string::npos);
    // Again there is nothing to do.
    CHECK(run_plyctl({"drain", pool.mnt(), pool.b}).out.find("0 objects") != std::string::npos);
    write_file(pool / "new", "new");
    CHECK(left_on(pool.b).empty());
}

TEST_CASE("plyctl: listings beside a drain lack nothing and have nothing twice") {
    constexpr std::size_t kFiles = 500;
    // Moved to the branch that is listed first, and to the one that is listed last.
    for (const bool to_first : {true, false}) {
        Pool pool;
        const std::string from = to_first ? pool.b : pool.a;
        make_dirs(pool.a + "/d");
        make_dirs(pool.b + "/d");
        for (std::size_t i = 0; i < kFiles; ++i) write_file(from + "/d/" + std::to_string(i), "x");
        pool.mount("minfreespace=0");
        std::atomic<bool> done{false};
        Ran ran;
        std::thread drain([&] {
            ran = run_plyctl({"drain", pool.mnt(), from}, 60);
            done = true;
        });
        std::size_t listings = 0, wrong = 0;
        while (!done) {
            auto names = list_dir(pool / "d");
            ++listings;
            std::sort(names.begin(), names.end());
            const bool twice = std::adjacent_find(names.begin(), names.end()) != names.end();
            if (names.size() != kFiles || twice) ++wrong;
        }
        drain.join();
        CHECK_MESSAGE(ran.ok(), ran.err);
        CHECK_MESSAGE(wrong == 0, listings);
        CHECK_FALSE(exists(from + "/d"));
    }
}

TEST_CASE("plyctl: a listing beside a drain has the last name that moves, whose directory goes with it") {
    // Reading them takes longer than a move.
    constexpr std::size_t kFiles = 2000;
    constexpr int kRounds = 100;
    Pool pool;
    make_dirs(pool.a + "/d");
    for (std::size_t i = 0; i < kFiles; ++i) write_file(pool.a + "/d/" + std::to_string(i), "");
    make_dirs(pool.b + "/d");
    pool.mount("minfreespace=0");
    std::size_t listings = 0, wrong = 0;
    for (int round = 0; round < kRounds; ++round) {
        const std::string name = "last" + std::to_string(round);
        make_dirs(pool.b + "/d");
        write_file(pool.b + "/d/" + name, "x");
        REQUIRE(eventually([&] { return exists(pool / ("d/" + name)); }));
        std::atomic<bool> done{false};
        Ran ran;
        std::thread drain([&] {
            ran = run_plyctl({"drain", pool.mnt(), pool.b}, 60);
            done = true;
        });
        while (!done) {
            const auto names = list_dir(pool / "d");
            ++listings;
            if (std::count(names.begin(), names.end(), name) != 1) ++wrong;
        }
        drain.join();
        CHECK_MESSAGE(ran.ok(), ran.err);
        CHECK_FALSE(exists(pool.b + "/d"));
    }
    CHECK_MESSAGE(wrong == 0, listings);
}

// The names that a directory stream still gives, appended.
void read_on(DIR* dir, std::vector<std::string>& names, std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
        const dirent* entry = ::readdir(dir);
        if (!entry) return;
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
}

TEST_CASE("plyctl: a listing under way has all names, of a directory that was on the drained branch alone") {
    if (is_standin()) skip("about plyfs itself");
    constexpr std::size_t kFiles = 1000;
    const auto long_name = [](std::size_t i) { return std::string(200, 'x') + std::to_string(i); };
    Pool pool;
    make_dirs(pool.b + "/d");
    for (std::size_t i = 0; i < kFiles; ++i) write_file(pool.b + "/d/" + long_name(i), "x");
    pool.mount("minfreespace=0");
    Ran ran;
    std::vector<std::string> names;
    const auto is_complete = [&] {
        std::sort(names.begin(), names.end());
        return names.size() == kFiles && std::adjacent_find(names.begin(), names.end()) == names.end();
    };
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir((pool / "d").c_str()), ::closedir);
    REQUIRE(dir);
    read_on(dir.get(), names, 10);
    SUBCASE("read on: the drain waits") {
        std::thread drain([&] { ran = run_plyctl({"drain", pool.mnt(), pool.b}, 60); });
        for (int pause = 0; pause < 30; ++pause) {
            std::this_thread::sleep_for(std::chrono::milliseconds(40));
            read_on(dir.get(), names, kFiles / 30);
        }
        read_on(dir.get(), names, kFiles);
        drain.join();
        CHECK_MESSAGE(ran.ok(), ran.out);
        CHECK(is_complete());
        CHECK_FALSE(exists(pool.b + "/d"));
    }
    SUBCASE("kept open: its files stay until it is closed") {
        ran = run_plyctl({"drain", pool.mnt(), pool.b}, 60);
        CHECK(ran.code == 1);
        CHECK(ran.out.find("0 stays: somebody has its directory open, and has read it in part") != std::string::npos);
        read_on(dir.get(), names, kFiles);
        CHECK(is_complete());
        dir.reset();
        for (std::size_t i = 5; i < kFiles; ++i) OK(::unlink((pool / ("d/" + long_name(i))).c_str()));
        ran = run_plyctl({"drain", pool.mnt(), pool.b}, 60);
        CHECK_MESSAGE(ran.ok(), ran.out);
        CHECK(list_dir(pool.a + "/d").size() == 5);
        CHECK_FALSE(exists(pool.b + "/d"));
    }
}

TEST_CASE("plyctl: drain leaves what is in use, says so, and takes it the next time") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool;
    write_file(pool.b + "/open", "open");
    write_file(pool.b + "/copy", "copy");
    write_file(pool.a + "/copy", "copy");
    write_file(pool.b + "/free", "free");
    for (const std::string& branch : {pool.a, pool.b}) make_dirs(branch + "/closed");
    OK(::chmod((pool.b + "/closed").c_str(), 0700));
    pool.mount("create=ff");
    const bool passes = pool.stats().text("max_stack_depth") != "off" && !is_unprivileged();
    {
        UniqueFd open = open_file(pool / "open", O_RDWR);
        const Ran ran = run_plyctl({"drain", pool.mnt(), pool.b});
        CHECK(ran.code == 1);
        CHECK(ran.out.find("copy stays: it is a copy of what " + pool.a + " has") != std::string::npos);
        CHECK((ran.out.find("open stays: it is open in passthrough") != std::string::npos) == passes);
        CHECK(ran.out.find("closed stays: its owner, mode or ACL is another one on " + pool.a) != std::string::npos);
        CHECK(read_file(pool.a + "/free") == "free");
        write_fd(open.get(), "OPEN", 0);
        CHECK(read_file(pool / "open") == "OPEN");
    }
    OK(::unlink((pool.b + "/copy").c_str()));
    OK(::chmod((pool.a + "/closed").c_str(), 0700));
    // By a path from where one is.
    const std::string relative = std::filesystem::relative(pool.b).string();
    CHECK(eventually([&] { return run_plyctl({"drain", pool.mnt(), relative}).code == 0; }));
    CHECK(left_on(pool.b).empty());
    CHECK(read_file(pool.a + "/open") == "OPEN");
    CHECK(read_file(pool / "copy") == "copy");
}

TEST_CASE("plyctl: drain goes on where it was ended") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool(256);
    std::vector<std::string> names;
    for (unsigned i = 0; i < 40; ++i) {
        names.push_back("f" + std::to_string(i));
        write_file(pool.b + "/" + names.back(), pattern(3 << 20, i));
    }
    pool.mount("create=ff");
    Child draining([&] {
        ::execl(plyctl_binary().c_str(), "plyctl", "drain", pool.mnt().c_str(), pool.b.c_str(), nullptr);
        return errno;
    });
    CHECK(eventually([&] { return pool.stats()["moves"] > 2; }, 20000));
    ::kill(draining.pid(), SIGKILL);
    draining.wait();
    for (unsigned i = 0; i < names.size(); ++i) {
        CAPTURE(names[i]);
        CHECK(read_file(pool / names[i]) == pattern(3 << 20, i));
        CHECK((exists(pool.a + "/" + names[i]) || exists(pool.b + "/" + names[i])));
    }
    CHECK(eventually([&] { return run_plyctl({"drain", pool.mnt(), pool.b}, 60).code == 0; }, 60000));
    CHECK(left_on(pool.b).empty());
    for (unsigned i = 0; i < names.size(); ++i) CHECK(read_file(pool.a + "/" + names[i]) == pattern(3 << 20, i));
}

TEST_CASE("plyctl: drain needs another branch and a pool") {
    if (is_standin()) skip("about plyfs itself");
    Layers layers;
    layers.mount();
    CHECK(run_plyctl({"drain", layers.mnt(), layers.upper}).code == 1);
    Scratch scratch;
    const std::string a = scratch.dir("a"), mnt = scratch.dir("mnt");
    write_file(a + "/f", "f");
    Mount mount("", a, mnt);
    CHECK(run_plyctl({"drain", mnt, a}).code == 1);
    CHECK(run_plyctl({"drain", mnt, "/none"}).err.find("no branch") != std::string::npos);
    CHECK(read_file(a + "/f") == "f");
}

TEST_CASE("plyctl: balance makes branches as full as each other") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool;
    for (unsigned i = 0; i < 12; ++i) {
        make_dirs(pool.a + "/d" + std::to_string(i % 3));
        write_file(pool.a + "/d" + std::to_string(i % 3) + "/f" + std::to_string(i), pattern(3 << 20, i));
    }
    pool.mount("minfreespace=0");
    REQUIRE(eventually([&] { return used_share(pool.mnt(), 0) > 0.4; }));
    const Ran ran = run_plyctl({"balance", "--within=12", pool.mnt()}, 60);
    INFO(ran.out, ran.err);
    CHECK(ran.code == 0);
    CHECK(eventually([&] { return std::abs(used_share(pool.mnt(), 0) - used_share(pool.mnt(), 1)) <= 0.12; }));
    for (unsigned i = 0; i < 12; ++i) {
        CHECK(read_file(pool / ("d" + std::to_string(i % 3) + "/f" + std::to_string(i))) == pattern(3 << 20, i));
    }
    CHECK(run_plyctl({"balance", "--within=12", pool.mnt()}).out.find("0 files") != std::string::npos);
}

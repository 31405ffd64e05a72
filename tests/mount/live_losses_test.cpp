// Branches that come and go beside what is open: nothing of it is lost without a word.
#include <atomic>
#include <memory>
#include <thread>

#include "live_ground.h"

using namespace plyfs::test;

TEST_CASE("live branches: a branch with open files stays, unless it is forced") {
    LiveGround g;
    g.ask({"branch", "add", g.c});
    UniqueFd open = open_file(g / "g", O_RDWR);
    CHECK(has(g.refused({"branch", "remove", g.c}),
              "what is open would be lost: 1 open on a branch that leaves, such as /g"));
    OK(::unlink((g / "g").c_str()));
    CHECK(has(g.refused({"branch", "remove", g.b}), "1 open that have no name any more"));
    CHECK(g.branches() == Names{g.a, g.b, g.c});
    write_fd(open.get(), "on ", 0);
    CHECK(read_fd(open.get()) == "on c");
    open.reset();
    CHECK(g.mount->backings_settle());
    g.ask({"branch", "remove", g.b});
    write_file(g.c + "/only/h", "content");
    open = open_file(g / "only/h", O_RDWR);
    g.ask({"branch", "remove", "--force", g.c});
    CHECK(g.branches() == Names{g.a});
    if (!is_unprivileged()) CHECK(read_fd(open.get()) == "content");
    FAILS(ESTALE, ::ftruncate(open.get(), 1));
    CHECK(read_file(g.c + "/only/h") == "content");
}

TEST_CASE("live branches: a listing that is half read has no name left out and none twice") {
    if (is_standin()) skip("about plyfs itself");
    LiveGround g;
    for (const auto& branch : {g.a, g.c}) make_dirs(branch + "/D");
    for (int i = 0; i < 4000; ++i) write_file(g.a + "/D/file" + std::to_string(i), "");
    write_file(g.c + "/D/other", "");
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir((g / "D").c_str()), ::closedir);
    REQUIRE(dir);
    const auto names_left = [&] {
        int names = 0;
        while (::readdir(dir.get())) ++names;
        return names;
    };
    REQUIRE(::readdir(dir.get()));
    CHECK(has(g.refused({"branch", "add", g.c}), "1 directories read in part"));
    CHECK(names_left() == 4001);  // with . and ..
    g.ask({"branch", "add", g.c});
    CHECK(list_dir(g / "D").size() == 4001);
    // Who has it open may be shown what the kernel has kept.
    ::rewinddir(dir.get());
    const int all = names_left();
    CHECK(all >= 4002);
    // Read on in other branches it is an error, unless the kernel has all of it.
    ::rewinddir(dir.get());
    REQUIRE(::readdir(dir.get()));
    g.ask({"branch", "remove", "--force", g.c});
    errno = 0;
    const int left = names_left();
    CHECK((errno == ESTALE || left == all - 1));
    // Who only goes on is waited for.
    std::jthread lists([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) CHECK(list_dir(g / "D").size() >= 4000);
    });
    for (int i = 0; i < 3; ++i) {
        g.ask({"branch", "add", g.c});
        g.ask({"branch", "remove", g.c});
    }
}

TEST_CASE("live branches: an open file is not hidden by a branch that comes before it") {
    LiveGround g;
    write_file(g.b + "/x", "of b");
    write_file(g.c + "/x", "of c");
    UniqueFd open = open_file(g / "x", O_RDWR);
    const std::string why = "1 open that another file hides then, such as /x";
    CHECK(has(g.refused({"branch", "add", "--first", g.c}), why));
    CHECK(set_branches(g, "+<" + g.c) == EBUSY);
    CHECK(g.branches() == Names{g.a, g.b});
    CHECK(stat_of(open.get()).st_size == 4);
    g.ask({"branch", "add", g.c});
    CHECK(stat_of(open.get()).st_size == 4);
    OK(::ftruncate(open.get(), 2));
    CHECK(read_file(g.b + "/x") == "of");
    open.reset();
    CHECK(g.mount->backings_settle());
    g.ask({"branch", "remove", g.c});
    g.ask({"branch", "add", "--first", g.c});
    CHECK(eventually([&] { return read_file(g / "x") == "of c"; }));
}

TEST_CASE("live branches: a file is found by another name when that is gone by which it was known") {
    LiveGround g;
    write_file(g / "one", "content");
    OK(::link((g / "one").c_str(), (g / "two").c_str()));
    const UniqueFd open = open_file(g / "two", O_RDWR);
    OK(::unlink((g / "one").c_str()));
    write_file(g / "three", "");
    OK(::link((g / "two").c_str(), (g / "four").c_str()));
    OK(::rename((g / "three").c_str(), (g / "two").c_str()));
    g.ask({"branch", "add", g.c});
    OK(::ftruncate(open.get(), 3));
    CHECK(read_file(g / "four") == "con");
    const pid_t daemon = static_cast<pid_t>(Stats::read(g.mnt)["pid"]);
    OK(::kill(daemon, SIGKILL));
    REQUIRE(eventually([&] { return Stats::read(g.mnt)["pid"] != daemon; }, 20000));
    CHECK(stat_of(open.get()).st_size == 3);
}

TEST_CASE("live branches: what a disk was mounted on does not take its place") {
    LiveGround g;
    const std::string disk = g.scratch.dir("disk");
    OK(::mount("x", disk.c_str(), "tmpfs", 0, nullptr));
    write_file(disk + "/on-disk", "");
    g.ask({"branch", "add", disk});
    OK(::umount2(disk.c_str(), MNT_DETACH));
    CHECK(has(g.refused({"branch", "add", g.c}),
              "branch " + disk + ": what lies there by now is not what the mount has"));
    CHECK(::access((g / "on-disk").c_str(), F_OK) == 0);
    g.ask({"branch", "remove", disk});
    g.ask({"branch", "add", g.c});
}

TEST_CASE("live branches: while something takes long nothing changes, and everything goes on") {
    if (!is_standin()) need_privilege("a branch on FUSE");
    LiveGround g;
    const std::string silent = g.scratch.dir("silent");
    Mount below("passthrough=off,cache.attr=0,cache.entry=0,minfreespace=0", g.c, silent);
    g.ask({"branch", "add", silent});
    // Somebody asks for what the kernel does not know.
    const auto hang = [&](const std::string& name) {
        stop_process(static_cast<pid_t>(below.pid()));
        auto waits =
            std::make_unique<Child>([&g, name] { return ::access((g / name).c_str(), F_OK) == 0 ? 0 : errno; });
        nap(200);
        return waits;
    };
    auto waits = hang("only/there");
    CHECK(has(g.refused({"branch", "remove", silent}), "nothing is changed, try again later"));
    OK(::kill(static_cast<pid_t>(below.pid()), SIGCONT));
    CHECK(waits->wait(20) == 0);
    CHECK(read_file(g / "f") == "of a");
    // By force also while it hangs: whoever waits for it is answered without it.
    waits = hang("only/other");
    CHECK(has(g.refused({"branch", "remove", silent}), "nothing is changed, try again later"));
    g.ask({"branch", "remove", "--force", silent});
    CHECK(waits->wait(20) == ENOENT);
    CHECK(list_dir(g.mnt) == Names{"f"});
    OK(::kill(static_cast<pid_t>(below.pid()), SIGCONT));
}

#include "overlay/workdir.h"

#include <sys/file.h>

#include <set>
#include <thread>

#include "branches.h"
#include "sys/process.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

std::unique_ptr<WorkDir> open_work(const std::string& parent, const char* name = "work") {
    auto work = WorkDir::open(open_dir(parent), name_of(name));
    REQUIRE(work);
    return std::move(*work);
}

}  // namespace

TEST_CASE("work directory: made with mode 0, used again when it is there") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    open_work(scratch.path());
    const auto st = lstat_or_fail(scratch / "work");
    CHECK(S_ISDIR(st.st_mode));
    CHECK((st.st_mode & 07777) == 0);
    open_work(scratch.path());
    CHECK(lstat_or_fail(scratch / "work").st_ino == st.st_ino);
}

TEST_CASE("work directory: not a directory, or none to be made") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    write_file(scratch / "work", "");
    CHECK(WorkDir::open(open_dir(scratch.path()), name_of("work")).failed_with(ENOTDIR));
    make_dir(scratch / "elsewhere");
    REQUIRE(::symlink("elsewhere", (scratch / "link").c_str()) == 0);
    CHECK(WorkDir::open(open_dir(scratch.path()), name_of("link")).failed_with(ENOTDIR));
}

TEST_CASE("work directory: temporary names are never given twice") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto work = open_work(scratch.path());
    std::vector<std::vector<std::string>> given(4);
    std::vector<std::thread> threads;
    for (auto& mine : given) {
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) mine.push_back(work->next().name().str());
        });
    }
    for (auto& thread : threads) thread.join();
    std::set<std::string> all;
    for (const auto& mine : given) all.insert(mine.begin(), mine.end());
    CHECK(all.size() == 8000);
    CHECK(all.begin()->front() == '#');
}

TEST_CASE("work directory: opening sweeps what an earlier mount left, and nothing else") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    const std::string work = scratch / "work";
    make_dir(work);
    write_file(work + "/#1", "half a copy");
    make_dir(work + "/#2");
    make_dir(work + "/#2/deep");
    write_file(work + "/#2/deep/file", "of a staged directory");
    REQUIRE(::symlink("/etc", (work + "/#3").c_str()) == 0);
    REQUIRE(::mkfifo((work + "/#4").c_str(), 0600) == 0);
    make_whiteout(work + "/#5");
    make_dir(work + "/#0a");
    REQUIRE(::chmod((work + "/#0a").c_str(), 0) == 0);
    make_dir(work + "/!1");
    make_whiteout(work + "/!1/a");
    make_dir(work + "/!1/sub");
    make_whiteout(work + "/!1/sub/b");
    write_file(work + "/!2", "an unlinked file");
    make_dir(work + "/!3");
    make_whiteout(work + "/!3/a");
    write_file(work + "/!3/precious", "somebody put it here");
    make_dir(work + "/!4");
    make_dir(work + "/!4/sub");
    write_file(work + "/!4/sub/precious", "deeper");
    write_file(work + "/index", "not ours");
    make_dir(work + "/users");
    write_file(work + "/users/#1", "not ours either");

    open_work(scratch.path());
    CHECK(names_in(work) == std::vector<std::string>{"!3", "!4", "index", "users"});
    CHECK(read_file(work + "/!3/precious") == "somebody put it here");
    CHECK(read_file(work + "/!4/sub/precious") == "deeper");
    CHECK(read_file(work + "/users/#1") == "not ours either");
    CHECK(exists("/etc/passwd"));
}

TEST_CASE("work directory: new names do not meet leftovers that stay") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    const std::string work = scratch / "work";
    make_dir(work);
    make_dir(work + "/!1");
    write_file(work + "/!1/precious", "kept");
    auto opened = open_work(scratch.path());
    for (int i = 0; i < 3; ++i) {
        const std::string victim = "victim" + std::to_string(i);
        write_file(scratch / victim, "x");
        CHECK(opened->take_away(open_dir(scratch.path()), name_of(victim.c_str()), false));
        CHECK_FALSE(exists(scratch / victim));
    }
    // A directory can not be moved over one that holds something, so this must have had another name.
    make_dir(scratch / "victim-dir");
    CHECK(opened->take_away(open_dir(scratch.path()), name_of("victim-dir"), false));
    CHECK_FALSE(exists(scratch / "victim-dir"));
    CHECK(read_file(work + "/!1/precious") == "kept");
}

TEST_CASE("work directory: one mount at a time, and who has it") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    {
        auto first = open_work(scratch.path());
        write_file(scratch / "work/#77", "being staged");
        CHECK(WorkDir::open(open_dir(scratch.path()), name_of("work")).failed_with(EBUSY));
        CHECK(lock_holder(open_dir(scratch / "work")) == ::getpid());
        CHECK(exists(scratch / "work/#77"));  // the second did not sweep the first one's files
        CHECK(lock_holder(open_dir(scratch.path())) == 0);
        open_work(scratch.path(), "other");
    }
    CHECK(lock_holder(open_dir(scratch / "work")) == 0);
    // Another process, which is then killed: its lock ends with it.
    auto said = sys::make_pipe();
    REQUIRE(said);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto held = WorkDir::open(open_dir(scratch.path()), name_of("work"));
        if (!held || !sys::send_byte(said->writer)) ::_exit(1);
        for (;;) ::pause();
    }
    said->writer.reset();
    const bool held = sys::wait_for_byte(said->reader).value();
    CHECK(held);
    CHECK(WorkDir::open(open_dir(scratch.path()), name_of("work")).failed_with(EBUSY));
    CHECK(lock_holder(open_dir(scratch / "work")) == child);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    open_work(scratch.path());
}

TEST_CASE("work directory: taking an entry away") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto work = open_work(scratch.path());
    make_dir(scratch / "dir");
    auto dir = open_dir(scratch / "dir");
    auto make = [&](const std::string& kind) {
        const std::string path = scratch / "dir/x";
        if (kind == "file") write_file(path, "bytes");
        if (kind == "symlink") REQUIRE(::symlink("nowhere", path.c_str()) == 0);
        if (kind == "fifo") REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        if (kind == "whiteout") make_whiteout(path);
        if (kind == "empty directory" || kind == "directory of whiteouts") make_dir(path);
        if (kind == "directory of whiteouts") {
            make_whiteout(path + "/a");
            make_dir(path + "/d");
            make_whiteout(path + "/d/b");
        }
    };
    for (const char* kind : {"file", "symlink", "fifo", "whiteout", "empty directory", "directory of whiteouts"}) {
        for (bool whiteout : {false, true}) {
            INFO(std::string(kind));
            CAPTURE(whiteout);
            make(kind);
            CHECK(work->take_away(dir, name_of("x"), whiteout));
            CHECK(is_whiteout(scratch / "dir/x") == whiteout);
            CHECK(exists(scratch / "dir/x") == whiteout);
            CHECK(names_in(scratch / "work").empty());
            ::unlink((scratch / "dir/x").c_str());
        }
    }
    CHECK(work->take_away(dir, name_of("missing"), false).failed_with(ENOENT));
    CHECK(work->take_away(dir, name_of("missing"), true).failed_with(ENOENT));
    CHECK(names_in(scratch / "work").empty());
    CHECK(names_in(scratch / "dir").empty());
}

TEST_CASE("work directory: a file found in a directory taken away is kept") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto work = open_work(scratch.path());
    make_dir(scratch / "dir");
    make_whiteout(scratch / "dir/a");
    write_file(scratch / "dir/precious", "put here behind our back");
    CHECK(work->take_away(open_dir(scratch.path()), name_of("dir"), true));
    CHECK(is_whiteout(scratch / "dir"));
    const auto kept = names_in(scratch / "work");
    REQUIRE(kept.size() == 1);
    CHECK(read_file(scratch / ("work/" + kept[0] + "/precious")) == "put here behind our back");
}

TEST_CASE("work directory: discard removes a whole directory, and does not mind nothing") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto work = open_work(scratch.path());
    const auto temp = work->next();
    work->discard(temp);
    const std::string path = scratch / ("work/" + temp.name().str());
    make_dir(path);
    make_dir(path + "/d");
    write_file(path + "/d/f", "x");
    work->discard(temp);
    CHECK(names_in(scratch / "work").empty());
}

// A file that finds its branch full goes on on another one: with all its bytes, descriptors, names and locks.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <cstring>

#include "mount/full_disks.h"

using namespace plyfs::test;

namespace {

constexpr std::size_t kMiB = 1 << 20;

// `name` has this content, on the second disk and nowhere else, as often as one looks.
void check_moved(FullDisks& disks, const std::string& name, const std::string& content, const char* to = "b") {
    CHECK(disks.where(name) == to);
    CHECK((read_file(disks / name) == content));
    CHECK((read_file(disks.at(to[0], name)) == content));
    disks.start();
    CHECK((read_file(disks / name) == content));
}

}  // namespace

TEST_CASE("move: a file whose branch is full goes on on another, by every descriptor") {
    FullDisks disks;
    disks.start();
    const std::string before = pattern(6 * kMiB, 1), more = pattern(4 * kMiB, 2);
    UniqueFd writer = open_file(disks / "f", O_CREAT | O_RDWR);
    write_fd(writer.get(), before, 0);
    UniqueFd second = open_file(disks / "f", O_WRONLY), reader = open_file(disks / "f", O_RDONLY);
    UniqueFd path = open_file(disks / "f", O_PATH);
    CHECK(read_fd(reader.get(), 0, 10) == before.substr(0, 10));
    CHECK(disks.where("f") == "a");
    const struct stat st = stat_of(writer.get());
    disks.fill('a', kMiB);
    Counter count(disks.mnt);
    write_fd(writer.get(), more, 6 * kMiB);
    CHECK(count("moves") == 1);
    CHECK(disks.where("f") == "b");
    // mergerfs leaves every other descriptor in the file that it has removed: what is written there is lost.
    write_fd(second.get(), "second", 100);
    OK(::fsync(second.get()));
    write_fd(writer.get(), "first", 200);
    std::string wanted = before + more;
    wanted.replace(100, 6, "second").replace(200, 5, "first");
    CHECK((read_fd(reader.get()) == wanted));
    CHECK((read_fd(writer.get()) == wanted));
    for (int fd : {writer.get(), second.get(), reader.get(), path.get()}) {
        CHECK(stat_of(fd).st_ino == st.st_ino);
        CHECK(stat_of(fd).st_size == static_cast<off_t>(wanted.size()));
    }
    OK(::ftruncate(second.get(), static_cast<off_t>(9 * kMiB)));
    wanted.resize(9 * kMiB);
    // The branch that was full has its space back while all of them are open.
    CHECK(FullDisks::free_on(disks.at('a', "")) > 6 * kMiB);
    writer.reset();
    second.reset();
    reader.reset();
    path.reset();
    check_moved(disks, "f", wanted);
}

TEST_CASE("move: all names of a hard link go along, and a name that was given meanwhile") {
    FullDisks disks;
    disks.start();
    make_dirs(disks / "library/films");
    const std::string before = pattern(3 * kMiB, 1), more = pattern(2 * kMiB, 2);
    UniqueFd writer = open_file(disks / "download", O_CREAT | O_RDWR);
    write_fd(writer.get(), before, 0);
    OK(::link((disks / "download").c_str(), (disks / "library/films/film").c_str()));
    // mergerfs moves the name that it was opened by, which is not there any more, and fails.
    OK(::rename((disks / "download").c_str(), (disks / "renamed").c_str()));
    disks.fill('a', kMiB);
    write_fd(writer.get(), more, static_cast<off_t>(before.size()));
    CHECK(disks.where("renamed") == "b");
    CHECK(disks.where("library/films/film") == "b");
    CHECK(disks.where("download").empty());
    CHECK(stat_of(disks.at('b', "renamed")).st_ino == stat_of(disks.at('b', "library/films/film")).st_ino);
    const struct stat one = stat_of(disks / "renamed"), other = stat_of(disks / "library/films/film");
    CHECK(one.st_ino == other.st_ino);
    CHECK(one.st_nlink == 2);
    CHECK((read_file(disks / "library/films/film") == before + more));
    writer.reset();
    check_moved(disks, "renamed", before + more);
    CHECK(stat_of(disks / "renamed").st_ino == stat_of(disks / "library/films/film").st_ino);
}

TEST_CASE("move: fallocate, copy_file_range, appending and stores through a map find room elsewhere") {
    for (const char* how : {"fallocate", "copy", "append", "map"}) {
        CAPTURE(how);
        FullDisks disks;
        disks.start();
        std::string wanted = pattern(2 * kMiB, 1);
        const std::string more = pattern(3 * kMiB, 2);
        write_file(disks.at('c', "source"), more);
        UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
        write_fd(file.get(), wanted, 0);
        if (how == std::string("map")) OK(::ftruncate(file.get(), static_cast<off_t>(5 * kMiB)));
        OK(::fsync(file.get()));
        disks.fill('a', kMiB / 2);
        if (how == std::string("fallocate")) {
            OK(::fallocate(file.get(), 0, 0, static_cast<off_t>(5 * kMiB)));
            wanted.resize(5 * kMiB);
            CHECK(stat_of(file.get()).st_blocks * 512 >= static_cast<off_t>(5 * kMiB));
        } else if (how == std::string("copy")) {
            UniqueFd source = open_file(disks / "source", O_RDONLY);
            off_t from = 0, to = static_cast<off_t>(wanted.size());
            while (from < static_cast<off_t>(more.size())) {
                OK(::copy_file_range(source.get(), &from, file.get(), &to, more.size(), 0));
            }
            wanted += more;
        } else if (how == std::string("append")) {
            UniqueFd end = open_file(disks / "f", O_WRONLY | O_APPEND);
            for (std::size_t i = 0; i < more.size(); i += kMiB / 4) {
                CHECK(OK(::write(end.get(), more.data() + i, kMiB / 4)) == kMiB / 4);
            }
            wanted += more;
        } else {
            void* map = ::mmap(nullptr, 5 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
            REQUIRE(map != MAP_FAILED);
            std::memcpy(static_cast<char*>(map) + 2 * kMiB, more.data(), more.size());
            OK(::msync(map, 5 * kMiB, MS_SYNC));
            OK(::munmap(map, 5 * kMiB));
            wanted += more;
        }
        CHECK(disks.moves() == 1);
        file.reset();
        check_moved(disks, "f", wanted);
    }
}

TEST_CASE("move: an attribute finds room elsewhere, one that no inode has room for does not look for it") {
    need_privilege("ext4");  // where an attribute has its room in a block
    FullDisks disks;
    disks.start();
    const std::string wanted = pattern(kMiB, 1);
    const UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
    write_fd(file.get(), wanted, 0);
    OK(::fsync(file.get()));
    const std::string large(32 * 1024, 'x');
    CHECK(::fsetxattr(file.get(), "user.large", large.data(), large.size(), 0) != 0);
    CHECK(disks.moves() == 0);
    disks.fill('a');
    const std::string value(3000, 'y');  // more than fits beside the inode
    OK(::fsetxattr(file.get(), "user.mine", value.data(), value.size(), 0));
    CHECK(disks.moves() == 1);
    CHECK(disks.where("f") == "b");
    CHECK(get_xattr(disks.at('b', "f"), "user.mine") == value);
    CHECK(read_file(disks / "f") == wanted);
}

TEST_CASE("move: what a file is comes along: owner, mode, times, attributes, ACL, holes") {
    FullDisks disks;
    disks.start();
    UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
    write_fd(file.get(), pattern(kMiB, 1), 0);
    write_fd(file.get(), "end", static_cast<off_t>(100 * kMiB));
    OK(::fchown(file.get(), 12, 34));
    OK(::fchmod(file.get(), 0640));
    OK(::fsetxattr(file.get(), "user.note", "value", 5, 0));
    if (!is_unprivileged()) OK(::fsetxattr(file.get(), "trusted.note", "t", 1, 0));
    const bool acl = have_tool("setfacl") && run({"setfacl", "-m", "u:99:r", disks / "f"}).ok();
    const timespec times[2] = {{1000, 5}, {2000, 7}};
    OK(::futimens(file.get(), times));
    const struct stat before = stat_of(file.get());
    disks.fill('a', kMiB / 2);
    OK(::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(8 * kMiB)));
    CHECK(disks.where("f") == "b");
    const struct stat after = stat_of(disks.at('b', "f")), shown = stat_of(file.get());
    CHECK(after.st_uid == 12);
    CHECK(after.st_gid == 34);
    CHECK(after.st_mode == before.st_mode);
    CHECK(after.st_size == before.st_size);
    CHECK(ns(after.st_atim) == ns(before.st_atim));  // the other was changed by this
    CHECK(after.st_blocks * 512 < static_cast<off_t>(20 * kMiB));
    CHECK(shown.st_ino == before.st_ino);
    CHECK(get_xattr(disks.at('b', "f"), "user.note") == "value");
    if (!is_unprivileged()) CHECK(get_xattr(disks.at('b', "f"), "trusted.note") == "t");
    if (acl) CHECK(run({"getfacl", "-cn", disks.at('b', "f")}).out.find("user:99:r--") != std::string::npos);
    CHECK(read_fd(file.get(), static_cast<off_t>(100 * kMiB)) == "end");
}

TEST_CASE("move: the directories that it needs look as they did, and keep their times") {
    FullDisks disks;
    disks.start();
    make_dirs(disks / "x/y");
    OK(::chmod((disks / "x").c_str(), 0751));
    OK(::chown((disks / "x/y").c_str(), 5, 6));
    UniqueFd file = open_file(disks / "x/y/f", O_CREAT | O_WRONLY);
    write_fd(file.get(), pattern(kMiB, 1), 0);
    const long long changed = ns(stat_of(disks / "x/y").st_mtim);
    disks.fill('a', kMiB / 2);
    write_fd(file.get(), pattern(2 * kMiB, 2), kMiB);
    CHECK(disks.where("x/y/f") == "b");
    CHECK((stat_of(disks.at('b', "x")).st_mode & 07777) == 0751);
    CHECK(stat_of(disks.at('b', "x/y")).st_uid == 5);
    CHECK(ns(stat_of(disks / "x/y").st_mtim) == changed);
    CHECK(list_dir(disks / "x/y") == std::vector<std::string>{"f"});
}

TEST_CASE("move: a file without a name goes along, and gets one there") {
    FullDisks disks;
    disks.start();
    const std::string before = pattern(2 * kMiB, 1), more = pattern(2 * kMiB, 2);
    UniqueFd gone = open_file(disks / "gone", O_CREAT | O_RDWR);
    write_fd(gone.get(), before, 0);
    OK(::unlink((disks / "gone").c_str()));
    UniqueFd nameless = open_file(disks.mnt, O_TMPFILE | O_RDWR, 0600);
    write_fd(nameless.get(), before, 0);
    disks.fill('a', kMiB / 2);
    for (int fd : {gone.get(), nameless.get()}) {
        write_fd(fd, more, static_cast<off_t>(before.size()));
        CHECK((read_fd(fd) == before + more));
        CHECK(stat_of(fd).st_nlink == 0);
        disks.fill('a', kMiB / 2);
    }
    CHECK(disks.moves() == 2);
    OK(::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(nameless.get())).c_str(), AT_FDCWD,
                (disks / "named").c_str(), AT_SYMLINK_FOLLOW));
    gone.reset();
    nameless.reset();
    check_moved(disks, "named", before + more);
}

TEST_CASE("move: locks hold, and so does the inode number, which nothing else gets") {
    FullDisks disks;
    disks.start();
    UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
    write_fd(file.get(), pattern(2 * kMiB, 1), 0);
    OK(::flock(file.get(), LOCK_EX));
    const ino_t number = stat_of(file.get()).st_ino, on_branch = stat_of(disks.at('a', "f")).st_ino;
    const auto listed = [&] { return shell("ls -i " + disks.mnt + " | awk '$2 == \"f\" { print $1 }'").out; };
    const std::string in_listing = listed();
    disks.fill('a', kMiB / 2);
    write_fd(file.get(), pattern(kMiB, 1), 2 * kMiB);
    REQUIRE(disks.where("f") == "b");
    UniqueFd other = open_file(disks / "f", O_RDWR);
    FAILS(EWOULDBLOCK, ::flock(other.get(), LOCK_EX | LOCK_NB));
    OK(::flock(file.get(), LOCK_UN));
    OK(::flock(other.get(), LOCK_EX | LOCK_NB));
    CHECK(stat_of(file.get()).st_ino == number);
    CHECK(listed() == in_listing);
    disks.free('a');
    // The inode on the branch is used again soon.
    bool used_again = false;
    for (int i = 0; i < 40 && !used_again; ++i) {
        const std::string name = "n" + std::to_string(i);
        write_file(disks / name, "new");
        CHECK(stat_of(disks / name).st_ino != number);
        used_again = stat_of(disks.at('a', name)).st_ino == on_branch;
    }
    file.reset();
    other.reset();
    if (!is_unprivileged()) drop_caches();
    CHECK(stat_of(disks / "f").st_ino == number);
    CHECK(listed() == in_listing);
}

TEST_CASE("move: signals do not disturb a write, but the end of its process does") {
    FullDisks disks("ext4", 96);
    disks.start();
    const std::string before = pattern(40 * kMiB, 1);
    {
        UniqueFd file = open_file(disks / "f", O_CREAT | O_RDWR);
        write_fd(file.get(), before, 0);
        OK(::fsync(file.get()));
    }
    disks.fill('a', kMiB / 2);
    const auto read_whole = [&] { return read_fd(open_file(disks / "f", O_RDONLY).get(), 0, 64 * kMiB); };
    const auto grow = [&] {
        const int fd = ::open((disks / "f").c_str(), O_WRONLY | O_CLOEXEC);
        return fd < 0 ? errno : try_write(fd, before.substr(0, kMiB), static_cast<off_t>(before.size()));
    };
    {
        Child killed(grow);
        CHECK(eventually([&] { return exists(disks.at('b', ".plyfs.work")); }, 10000));
        OK(::kill(killed.pid(), SIGKILL));
        CHECK(killed.wait() == 128 + SIGKILL);
    }
    CHECK((read_whole().substr(0, before.size()) == before));
    const int done = in_child([&] {
        struct sigaction handler = {};
        handler.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &handler, nullptr);
        const itimerval often = {{0, 2000}, {0, 2000}};
        ::setitimer(ITIMER_REAL, &often, nullptr);
        return grow();
    });
    CHECK(done == 0);
    CHECK(disks.where("f") == "b");
    CHECK((read_whole() == before + before.substr(0, kMiB)));
}

TEST_CASE("move: the policy says where to, rules say where not") {
    const std::string more = pattern(2 * kMiB, 2);
    for (const auto& [policy, to] : {std::pair("mfs", "c"), {"ff", "b"}, {"lus", "c"}, {"epff", "c"}, {"true", "bc"}}) {
        CAPTURE(policy);
        FullDisks disks;
        for (char disk : {'a', 'c'}) make_dirs(disks.at(disk, "d"));
        disks.fill('b', 8 * kMiB);
        disks.start(std::string(kAllCaught) + ",moveonenospc=" + policy);
        UniqueFd file = open_file(disks / "d/f", O_CREAT | O_WRONLY);
        disks.fill('a', kMiB / 2);
        write_fd(file.get(), more, 0);
        CHECK(std::string(to).find(disks.where("d/f")) != std::string::npos);
    }
    FullDisks disks;
    const std::string file = disks.scratch / "pool.yaml";
    write_file(file, "branches: [" + disks.at('a', "") + ", " + disks.at('b', "") + ", " + disks.at('c', "") +
                         "]\nmoveonenospc: ff\nmoveonenospc-reserve: 100%\nminfreespace: 0\ncreate: ff\n"
                         "cache.statfs: 0\nrules:\n  - {name: '*.film', branches: [" +
                         disks.at('a', "") + ", " + disks.at('c', "") + "]}\n");
    disks.mount.emplace("config=" + file, "", disks.mnt);
    UniqueFd film = open_file(disks / "x.film", O_CREAT | O_WRONLY);
    disks.fill('a', kMiB / 2);
    write_fd(film.get(), more, 0);
    CHECK(disks.where("x.film") == "c");
}

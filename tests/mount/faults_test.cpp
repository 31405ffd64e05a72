// What other union file systems in user space got wrong, as cases that have to pass here: silent corruption first. Each
// says what the fault was. PLYFS_TEST_ANCHOR=/usr/bin/fuse-overlayfs mounts with that program instead, to see that a
// case finds what it is meant to find.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

mode_t mode_of(const std::string& path) {
    return lstat_of(path).st_mode & 07777;
}

std::string owner_of(const std::string& path) {
    struct stat st = lstat_of(path);
    return std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid);
}

// As after a reboot: by the same program.
void mount_again(Layers& tree) {
    tree.unmount();
    tree.mount();
}

// The layers as the kernel's overlayfs shows them.
struct KernelView {
    explicit KernelView(Layers& tree) {
        tree.unmount();
        overlay = Mounted("overlay", tree.mnt(), "overlay", 0, tree.options() + ",redirect_dir=off,metacopy=off");
    }
    Mounted overlay;
};

void forget_pages(int fd) {
    ::fsync(fd);  // dirty pages are not dropped
    OK(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

// A reader from before the copy-up, pages that are read anew through it, and a writer that then changes part of a page.
void old_reader_and_writer(const std::string& options) {
    const std::string before = pattern(10000, 1), after = pattern(23000, 2);
    Layers tree;
    write_file(tree.lower + "/f", before);
    tree.mount(options);
    UniqueFd reader = open_file(tree / "f", O_RDONLY);
    CHECK(read_fd(reader.get()) == before);
    write_file(tree / "f", after);
    for (int round = 0; round < 2; round++) {
        forget_pages(reader.get());
        // What it gets is before or after, not a mixture.
        std::string old = read_fd(reader.get());
        CHECK((old == before || old == after));
        CHECK(read_file(tree / "f") == after);
    }
    write_fd(open_file(tree / "f", O_WRONLY).get(), "12345", 12000);
    forget_pages(open_file(tree / "f", O_RDONLY).get());
    std::string wanted = after;
    wanted.replace(12000, 5, "12345");
    CHECK(read_file(tree / "f") == wanted);
    reader.reset();
    tree.unmount();
    CHECK(read_file(tree.upper + "/f") == wanted);
    CHECK(read_file(tree.lower + "/f") == before);
}

}  // namespace

TEST_CASE("fault A: a reader from before the copy-up puts old bytes into the pages that everybody reads") {
    old_reader_and_writer("");
}

TEST_CASE("fault A: the same with reads and writes served by the daemon") {
    if (is_standin()) skip("an option of plyfs");
    old_reader_and_writer("passthrough=off");
}

TEST_CASE("fault B: a writer beside a reader of the lower file writes into the lower layer") {
    const std::string before = pattern(50000, 1), after = pattern(50000, 2);
    for (int flags : {O_RDWR, O_WRONLY, O_WRONLY | O_TRUNC}) {
        Layers tree;
        write_file(tree.lower + "/f", before);
        tree.mount();
        UniqueFd reader = open_file(tree / "f", O_RDONLY);
        CHECK(read_fd(reader.get(), 0, 100) == before.substr(0, 100));
        UniqueFd writer = open_file(tree / "f", flags);
        write_fd(writer.get(), after, 0);
        OK(::fsync(writer.get()));
        CHECK(read_file(tree.lower + "/f") == before);
        CHECK(read_file(tree.upper + "/f") == after);
        CHECK(read_file(tree / "f") == after);
    }
}

TEST_CASE("fault C: the umask of who makes a file is ignored") {
    Layers tree;
    make_dirs(tree.lower + "/d");
    tree.mount();
    for (auto [mask, file, dir] : {std::tuple{077, 0600, 0700}, {027, 0640, 0750}, {0, 0666, 0777}}) {
        for (const std::string& folder : {tree.mnt(), tree / "d"}) {
            std::string name = folder + "/" + std::to_string(mask);
            int done = in_child([&, mask = mask] {
                ::umask(static_cast<mode_t>(mask));
                int fd = ::open((name + "f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
                if (fd < 0 || ::mkdir((name + "d").c_str(), 0777) != 0) return errno;
                return ::mkfifo((name + "p").c_str(), 0666) == 0 ? 0 : errno;
            });
            REQUIRE(done == 0);
            CHECK(mode_of(name + "f") == static_cast<mode_t>(file));
            CHECK(mode_of(name + "d") == static_cast<mode_t>(dir));
            CHECK(mode_of(name + "p") == static_cast<mode_t>(file));
        }
    }
}

TEST_CASE("fault D: a file that is open and has no name any more can not be used") {
    Layers tree;
    write_file(tree.lower + "/lower", "lower");
    write_file(tree.lower + "/replaced", "lower");
    tree.mount();
    write_file(tree / "own", "own");
    for (std::string name : {"lower", "own", "replaced"}) {
        CAPTURE(name);
        UniqueFd fd = open_file(tree / name, O_RDWR);
        if (name == "replaced") {
            write_file(tree / "new", "new");
            OK(::rename((tree / "new").c_str(), (tree / name).c_str()));
        } else {
            OK(::unlink((tree / name).c_str()));
        }
        CHECK(stat_of(fd.get()).st_nlink == 0);
        OK(::ftruncate(fd.get(), 2));
        OK(::fchmod(fd.get(), 0600));
        OK(::fchown(fd.get(), 3, 4));
        OK(::fsetxattr(fd.get(), "user.note", "x", 1, 0));
        OK(::futimens(fd.get(), nullptr));
        write_fd(fd.get(), "written", 1);
        CHECK(read_fd(fd.get(), 1) == "written");
        CHECK(stat_of(fd.get()).st_size == 8);
        CHECK((stat_of(fd.get()).st_mode & 07777) == 0600);
        OK(::fsync(fd.get()));
        CHECK(::close(fd.release()) == 0);
    }
    CHECK(read_file(tree / "replaced") == "new");
}

TEST_CASE("fault E: a directory that was removed and made again shows what lay below the first one") {
    Layers tree;
    for (std::string name : {"top", "nested/deep", "both"}) {
        make_dirs(tree.lower + "/" + name + "/sub");
        write_file(tree.lower + "/" + name + "/f", "old");
        write_file(tree.lower + "/" + name + "/sub/f", "old");
    }
    make_dirs(tree.lower2 + "/both");
    write_file(tree.lower2 + "/both/below", "old");
    tree.mount();
    const std::vector<std::string> names = {"top", "nested/deep", "both"};
    for (const std::string& name : names) {
        must_run({"rm", "-r", tree / name});
        OK(::mkdir((tree / name).c_str(), 0755));
        CHECK(list_dir(tree / name).empty());
        OK(::mkdir((tree / name + "/sub").c_str(), 0755));
    }
    auto check = [&] {
        for (const std::string& name : names) {
            CAPTURE(name);
            CHECK(list_dir(tree / name) == std::vector<std::string>{"sub"});
            CHECK(list_dir(tree / name + "/sub").empty());
            CHECK_FALSE(exists(tree / name + "/f"));
        }
    };
    check();
    mount_again(tree);
    check();
    if (is_standin()) return;  // which may leave marks of its own in sight
    KernelView kernel(tree);
    check();
}

TEST_CASE("fault F: directories that are copied up get another mode") {
    Layers tree;
    const std::vector<std::pair<std::string, mode_t>> dirs = {{"private", 0700}, {"tmp", 01777}, {"group", 02770},
                                                              {"fixed", 0555},   {"none", 0},    {"private/in", 0711}};
    for (const auto& [name, mode] : dirs) {
        make_dirs(tree.lower + "/" + name);
        write_file(tree.lower + "/" + name + "/f", "x");
        OK(::chown((tree.lower + "/" + name).c_str(), 12, 34));
        OK(::chmod((tree.lower + "/" + name).c_str(), mode));
    }
    tree.mount();
    for (const auto& [name, mode] : dirs) {
        CAPTURE(name);
        write_file(tree / name + "/f", "changed");
        write_file(tree / name + "/new", "new");
        for (const std::string& root : {tree.mnt(), tree.upper}) {
            CHECK(mode_of(root + "/" + name) == mode);
            CHECK(owner_of(root + "/" + name) == "12:34");
        }
    }
    mount_again(tree);
    for (const auto& [name, mode] : dirs) CHECK(mode_of(tree / name) == mode);
}

TEST_CASE("fault G: set-id bits survive a change by somebody else") {
    struct Way {
        std::string name;
        std::function<bool(const std::string&)> change;
    };
    auto opened = [](const std::string& path, int flags, const std::function<bool(int)>& change) {
        UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
        return fd.valid() && change(fd.get());
    };
    const std::vector<Way> ways = {
        {"write", [&](auto& p) { return opened(p, O_WRONLY, [](int fd) { return ::pwrite(fd, "x", 1, 0) == 1; }); }},
        {"append",
         [&](auto& p) { return opened(p, O_WRONLY | O_APPEND, [](int fd) { return ::write(fd, "x", 1) == 1; }); }},
        {"trunc", [&](auto& p) { return opened(p, O_WRONLY | O_TRUNC, [](int) { return true; }); }},
        {"truncate", [&](auto& p) { return ::truncate(p.c_str(), 10) == 0; }},
        {"ftruncate", [&](auto& p) { return opened(p, O_RDWR, [](int fd) { return ::ftruncate(fd, 10) == 0; }); }},
    };
    Layers tree;
    auto make = [](const std::string& path) {
        write_file(path, pattern(5000));
        OK(::chmod(path.c_str(), 06777));
    };
    OK(::chmod(tree.lower.c_str(), 0755));
    for (const Way& way : ways) make(tree.lower + "/lower-" + way.name);
    tree.mount();
    for (const Way& way : ways) make(tree / ("own-" + way.name));
    for (const Way& way : ways)
        for (std::string kind : {"lower-", "own-"}) {
            std::string path = tree / (kind + way.name);
            CAPTURE(path);
            REQUIRE(as_user({.uid = 1000, .gid = 1000, .groups = {}}, [&] { return way.change(path) ? 0 : errno; }) ==
                    0);
            CHECK(mode_of(path) == 0777);
        }
    mount_again(tree);
    for (const Way& way : ways) CHECK(mode_of(tree / ("lower-" + way.name)) == 0777);
}

TEST_CASE("fault H: chown -R over hard links of a lower file changes the owner of one name only") {
    Layers tree;
    make_dirs(tree.lower + "/d/sub");
    for (int i = 0; i < 20; i++) {
        std::string name = tree.lower + "/d/" + std::to_string(i);
        write_file(name, "x");
        OK(::link(name.c_str(), (name + "-second").c_str()));
        OK(::link(name.c_str(), (tree.lower + "/d/sub/" + std::to_string(i)).c_str()));
    }
    tree.mount();
    must_run({"chown", "-R", "1234:567", tree / "d"});
    auto check = [&] {
        int wrong = 0, apart = 0;
        for (int i = 0; i < 20; i++) {
            std::string name = tree / "d/" + std::to_string(i);
            struct stat first = stat_of(name);
            for (const std::string& other : {name, name + "-second", tree / "d/sub/" + std::to_string(i)}) {
                wrong += owner_of(other) != "1234:567";
                apart += stat_of(other).st_ino != first.st_ino;
            }
        }
        CHECK(wrong == 0);
        CHECK(apart == 0);
    };
    check();
    mount_again(tree);
    check();
    if (is_standin()) return;
    KernelView kernel(tree);
    check();
}

TEST_CASE("fault I: new directories do not inherit set-group-id") {
    Layers tree;
    make_dirs(tree.lower + "/d");
    OK(::chown(tree.lower.c_str(), 0, 0));
    OK(::chown((tree.lower + "/d").c_str(), 0, 77));
    OK(::chmod((tree.lower + "/d").c_str(), 02777));
    tree.mount();
    OK(::mkdir((tree / "d/by root").c_str(), 0755));
    OK(::mkdir((tree / "d/by root/deeper").c_str(), 0700));
    CHECK(as_user({}, [&] { return ::mkdir((tree / "d/by user").c_str(), 0750) == 0 ? 0 : errno; }) == 0);
    write_file(tree / "d/by root/f", "x");
    for (auto [name, mode] :
         {std::pair{"d/by root", 02755}, {"d/by root/deeper", 02700}, {"d/by user", 02750}, {"d/by root/f", 0644}}) {
        CAPTURE(std::string(name));
        CHECK(mode_of(tree / name) == static_cast<mode_t>(mode));
        CHECK(stat_of(tree / name).st_gid == 77);
    }
}

TEST_CASE("fault J: symbolic links that are copied up change their owner and times") {
    Layers tree;
    timespec past[2] = {{1111111111, 111}, {1222222222, 222}};
    for (std::string name : {"renamed", "linked", "touched"}) {
        std::string path = tree.lower + "/" + name;
        OK(::symlink("to somewhere", path.c_str()));
        OK(::lchown(path.c_str(), 5, 6));
        OK(::utimensat(AT_FDCWD, path.c_str(), past, AT_SYMLINK_NOFOLLOW));
    }
    tree.mount();
    OK(::rename((tree / "renamed").c_str(), (tree / "renamed2").c_str()));
    OK(::linkat(AT_FDCWD, (tree / "linked").c_str(), AT_FDCWD, (tree / "linked2").c_str(), 0));
    OK(::utimensat(AT_FDCWD, (tree / "touched").c_str(), past, AT_SYMLINK_NOFOLLOW));
    for (int round = 0; round < 2; round++) {
        for (std::string name : {"renamed2", "linked", "linked2", "touched"}) {
            CAPTURE(name);
            CHECK(owner_of(tree / name) == "5:6");
            CHECK(ns(lstat_of(tree / name).st_mtim) == 1222222222000000222LL);
            CHECK(link_target(tree / name) == "to somewhere");
        }
        mount_again(tree);
    }
}

TEST_CASE("fault K: everybody waits while one file is copied up") {
    using Clock = std::chrono::steady_clock;
    auto milliseconds = [](Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    Layers tree({.mib = 500});
    write_file(tree.lower + "/small", "x");
    {
        UniqueFd fd = open_file(tree.lower + "/big", O_CREAT | O_RDWR);
        std::string block = pattern(1 << 20);
        for (int i = 0; i < 400; i++) write_fd(fd.get(), block, static_cast<off_t>(i) << 20);
        OK(::fsync(fd.get()));
    }
    tree.mount();
    for (int i = 0; i < 30; i++) write_file(tree / ("f" + std::to_string(i)), "x");
    auto began = Clock::now();
    Child writer([&] { return ::open((tree / "big").c_str(), O_RDWR | O_CLOEXEC) == -1 ? errno : 0; });
    Clock::duration worst{};
    int rounds = 0;
    // Names that nobody has looked at, so that each one is a request.
    while (!exists(tree.upper + "/big") && Clock::now() - began < std::chrono::seconds(30)) {
        auto start = Clock::now();
        FAILS(ENOENT, ::access((tree / ("none" + std::to_string(rounds++))).c_str(), F_OK));
        worst = std::max(worst, Clock::now() - start);
        nap(2);
    }
    auto whole = Clock::now() - began;
    CHECK(writer.wait() == 0);
    if (whole < std::chrono::milliseconds(100)) skip("the copy was too fast to tell");
    INFO("copied in ", milliseconds(whole), " ms, worst answer ", milliseconds(worst), " ms, ", rounds, " requests");
    CHECK(worst < whole / 2);
    CHECK(rounds > 5);
}

// Making objects of every kind, on top of what is there and below a directory that exists on a lower branch
// only.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void with_dir_below(Tree& tree) {
    make_dirs(tree.below() + "/d/e");
    write_file(tree.below() + "/d/old", "old");
}

}  // namespace

TEST_CASE("create: a new file is there, with content, and the daemon moved no byte") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        Counter count(tree.mnt());
        for (std::string name : {"new", "d/new", "d/e/new"}) {
            CAPTURE(name);
            std::string content = pattern(70000);
            write_file(tree / name, content, 0640);
            CHECK(read_file(tree / name) == content);
            CHECK((stat_of(tree / name).st_mode & 07777) == 0640);
            CHECK(stat_of(tree / name).st_size == 70000);
        }
        CHECK(count.served() == 0);
    });
}

TEST_CASE("create: O_EXCL and O_CREAT on what exists") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        FAILS(EEXIST, ::open((tree / "d/old").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600));
        FAILS(EISDIR, ::open((tree / "d").c_str(), O_CREAT | O_WRONLY, 0600));
        FAILS(ENOTDIR, ::open((tree / "d/old/x").c_str(), O_CREAT | O_WRONLY, 0600));
        FAILS(ENOENT, ::open((tree / "no/x").c_str(), O_CREAT | O_WRONLY, 0600));
        UniqueFd fd = open_file(tree / "d/old", O_CREAT | O_RDWR, 0600);
        CHECK(read_fd(fd.get()) == "old");
        CHECK((stat_of(fd.get()).st_mode & 07777) == 0644);
    });
}

TEST_CASE("mkdir: new, nested, existing, and setgid of the parent is inherited") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        OK(::mkdir((tree / "d/new").c_str(), 0751));
        CHECK(lstat_of(tree / "d/new").st_mode == (S_IFDIR | 0751));
        OK(::mkdir((tree / "d/new/deep").c_str(), 0700));
        FAILS(EEXIST, ::mkdir((tree / "d/e").c_str(), 0755));
        FAILS(EEXIST, ::mkdir((tree / "d/old").c_str(), 0755));
        CHECK(stat_of(tree / "d/new").st_nlink == 3);
        OK(::chown((tree / "d/e").c_str(), 0, 4242));
        OK(::chmod((tree / "d/e").c_str(), 02775));
        OK(::mkdir((tree / "d/e/sub").c_str(), 0755));
        CHECK(stat_of(tree / "d/e/sub").st_gid == 4242);
        CHECK((stat_of(tree / "d/e/sub").st_mode & 07777) == 02755);
        write_file(tree / "d/e/file", "x");
        CHECK(stat_of(tree / "d/e/file").st_gid == 4242);
    });
}

TEST_CASE("mknod: fifo, socket, devices and an empty file") {
    need_privilege("devices");
    in_both_modes(with_dir_below, [](Tree& tree) {
        OK(::mkfifo((tree / "d/fifo").c_str(), 0622));
        CHECK(lstat_of(tree / "d/fifo").st_mode == (S_IFIFO | 0600));  // umask 022
        OK(::mknod((tree / "d/null").c_str(), S_IFCHR | 0666, makedev(1, 3)));
        CHECK(lstat_of(tree / "d/null").st_rdev == makedev(1, 3));
        UniqueFd null = open_file(tree / "d/null", O_WRONLY);
        CHECK(::write(null.get(), "x", 1) == 1);
        OK(::mknod((tree / "d/block").c_str(), S_IFBLK | 0600, makedev(7, 250)));
        CHECK(lstat_of(tree / "d/block").st_rdev == makedev(7, 250));
        OK(::mknod((tree / "d/plain").c_str(), S_IFREG | 0600, 0));
        CHECK(stat_of(tree / "d/plain").st_size == 0);
        FAILS(EEXIST, ::mknod((tree / "d/old").c_str(), S_IFIFO | 0600, 0));
    });
}

TEST_CASE("mknod: a fifo carries data and a unix socket can be connected to") {
    in_both_modes([](Tree& tree) {
        OK(::mkfifo((tree / "fifo").c_str(), 0600));
        Child writer([&] {
            int fd = ::open((tree / "fifo").c_str(), O_WRONLY);
            return fd >= 0 && ::write(fd, "through", 7) == 7 ? 0 : 1;
        });
        UniqueFd reader = open_file(tree / "fifo", O_RDONLY);
        char buffer[16];
        CHECK(OK(::read(reader.get(), buffer, sizeof buffer)) == 7);
        CHECK(writer.wait() == 0);

        OK(::chdir(tree.mnt().c_str()));  // a socket's path is short
        sockaddr_un address{AF_UNIX, "sock"};
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        UniqueFd server(OK(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
        OK(::bind(server.get(), generic, sizeof address));
        CHECK(S_ISSOCK(lstat_of(tree / "sock").st_mode));
        OK(::listen(server.get(), 1));
        UniqueFd client(OK(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
        CHECK(::connect(client.get(), generic, sizeof address) == 0);
        OK(::chdir("/"));
    });
}

TEST_CASE("symlink: text is kept as it is, and it can be owned") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        for (const std::string& text : {std::string("old"), std::string("../nowhere"), std::string(4000, 'x')}) {
            OK(::symlink(text.c_str(), (tree / "d/link").c_str()));
            CHECK(link_target(tree / "d/link") == text);
            CHECK(lstat_of(tree / "d/link").st_size == static_cast<off_t>(text.size()));
            OK(::lchown((tree / "d/link").c_str(), 7, 8));
            CHECK(lstat_of(tree / "d/link").st_uid == 7);
            OK(::unlink((tree / "d/link").c_str()));
        }
        OK(::symlink("old", (tree / "d/link").c_str()));
        CHECK(read_file(tree / "d/link") == "old");
        FAILS(EEXIST, ::symlink("x", (tree / "d/old").c_str()));
        FAILS(ELOOP, ::open((tree / "d/link").c_str(), O_RDONLY | O_NOFOLLOW));
    });
}

TEST_CASE("link: names of one file share everything") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        write_file(tree / "a", "one");
        OK(::link((tree / "a").c_str(), (tree / "d/b").c_str()));
        CHECK(stat_of(tree / "a").st_ino == stat_of(tree / "d/b").st_ino);
        CHECK(stat_of(tree / "a").st_nlink == 2);
        write_file(tree / "d/b", "two!");
        CHECK(read_file(tree / "a") == "two!");
        OK(::chmod((tree / "a").c_str(), 0600));
        CHECK((stat_of(tree / "d/b").st_mode & 07777) == 0600);
        FAILS(EEXIST, ::link((tree / "a").c_str(), (tree / "d/b").c_str()));
        FAILS(EPERM, ::link((tree / "d").c_str(), (tree / "dirlink").c_str()));
        OK(::unlink((tree / "a").c_str()));
        CHECK(stat_of(tree / "d/b").st_nlink == 1);
        CHECK(read_file(tree / "d/b") == "two!");
    });
}

TEST_CASE("link: of an object from below, of a symlink and of a fifo") {
    in_both_modes(with_dir_below, [](Tree& tree) {
        OK(::link((tree / "d/old").c_str(), (tree / "linked").c_str()));
        CHECK(read_file(tree / "linked") == "old");
        CHECK(stat_of(tree / "linked").st_nlink == 2);
        CHECK(stat_of(tree / "linked").st_ino == stat_of(tree / "d/old").st_ino);
        write_file(tree / "linked", "newer");
        CHECK(read_file(tree / "d/old") == "newer");
        OK(::symlink("d/old", (tree / "sym").c_str()));
        OK(::linkat(AT_FDCWD, (tree / "sym").c_str(), AT_FDCWD, (tree / "sym2").c_str(), 0));
        CHECK(link_target(tree / "sym2") == "d/old");
        OK(::mkfifo((tree / "fifo").c_str(), 0600));
        OK(::link((tree / "fifo").c_str(), (tree / "fifo2").c_str()));
        CHECK(S_ISFIFO(lstat_of(tree / "fifo2").st_mode));
    });
}

TEST_CASE("names: 255 bytes of any kind") {
    in_both_modes([](Tree& tree) {
        std::string longest(255, 'n'), odd = "\xff\xfe new\nline\t\\ * \"'";
        for (const std::string& name : {longest, odd, std::string("...")}) {
            write_file(tree / name, name);
            CHECK(read_file(tree / name) == name);
            OK(::rename((tree / name).c_str(), (tree / "x").c_str()));
            OK(::rename((tree / "x").c_str(), (tree / name).c_str()));
            CHECK(list_dir(tree.mnt()) == std::vector<std::string>{name});
            OK(::unlink((tree / name).c_str()));
        }
        FAILS(ENAMETOOLONG, ::open((tree / std::string(256, 'n')).c_str(), O_CREAT | O_WRONLY, 0600));
    });
}

TEST_CASE("paths: 4095 bytes from the root of the mount, to objects above and below") {
    in_both_modes(
        [](Tree& tree) {
            // The same depth that is used through the mount, made on the branch step by step.
            OK(::chdir(tree.below().c_str()));
            for (int i = 0; i < 15; i++) {
                OK(::mkdir(std::string(250, 'd').c_str(), 0755));
                OK(::chdir(std::string(250, 'd').c_str()));
            }
            write_file("deep", "deep");
            OK(::chdir("/"));
        },
        [](Tree& tree) {
            std::string path = ".";
            for (int i = 0; i < 15; i++) path += "/" + std::string(250, 'd');
            OK(::chdir(tree.mnt().c_str()));
            CHECK(read_file(path + "/deep") == "deep");
            write_file(path + "/deep", "changed");
            CHECK(read_file(path + "/deep") == "changed");
            path += "/" + std::string(100, 'm');
            OK(::mkdir(path.c_str(), 0755));
            std::string longest = path + "/" + std::string(4095 - path.size() - 1, 'f');
            REQUIRE(longest.size() == 4095);
            write_file(longest, "longest");
            CHECK(read_file(longest) == "longest");
            OK(::unlink(longest.c_str()));
            OK(::chdir("/"));
        });
}

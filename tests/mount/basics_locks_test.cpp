// Locks between users of the mount: over hard links, over processes, without ever blocking the daemon.
#include <sys/file.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void with_links_below(Tree& tree) {
    write_file(tree.below() + "/old", "0123456789");
    OK(::link((tree.below() + "/old").c_str(), (tree.below() + "/old2").c_str()));
}

int set_lock(int fd, int command, short type, off_t start, off_t length) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return ::fcntl(fd, command, &lock);
}

void both_lock_modes(const std::function<void(Tree&, const std::string&, const std::string&)>& test) {
    for (std::string option : {"locks=local", "locks=forward"})
        in_both_modes(
            with_links_below,
            [&](Tree& tree) {
                CAPTURE(option);
                write_file(tree / "new", "0123456789");
                OK(::link((tree / "new").c_str(), (tree / "new2").c_str()));
                test(tree, tree / "new", tree / "new2");
                test(tree, tree / "old", tree / "old2");
            },
            is_standin() ? "" : option);
}

}  // namespace

TEST_CASE("flock: excludes over hard links and is free after close") {
    both_lock_modes([](Tree&, const std::string& path, const std::string& other) {
        UniqueFd first = open_file(path, O_RDWR), second = open_file(other, O_RDWR);
        OK(::flock(first.get(), LOCK_EX));
        FAILS(EWOULDBLOCK, ::flock(second.get(), LOCK_EX | LOCK_NB));
        FAILS(EWOULDBLOCK, ::flock(second.get(), LOCK_SH | LOCK_NB));
        OK(::flock(first.get(), LOCK_SH));
        OK(::flock(second.get(), LOCK_SH | LOCK_NB));
        FAILS(EWOULDBLOCK, ::flock(first.get(), LOCK_EX | LOCK_NB));
        second.reset();
        CHECK(eventually([&] { return ::flock(first.get(), LOCK_EX | LOCK_NB) == 0; }));
    });
}

TEST_CASE("fcntl: record locks of two processes, over hard links") {
    both_lock_modes([](Tree&, const std::string& path, const std::string& other) {
        UniqueFd fd = open_file(path, O_RDWR);
        OK(set_lock(fd.get(), F_SETLK, F_WRLCK, 2, 4));
        CHECK(in_child([&] {
                  int mine = ::open(other.c_str(), O_RDWR | O_CLOEXEC);
                  if (set_lock(mine, F_SETLK, F_WRLCK, 0, 2) != 0) return 1;
                  if (set_lock(mine, F_SETLK, F_WRLCK, 6, 0) != 0) return 2;
                  if (set_lock(mine, F_SETLK, F_RDLCK, 3, 1) != -1 || (errno != EAGAIN && errno != EACCES)) return 3;
                  struct flock asked {};
                  asked.l_type = F_WRLCK;
                  asked.l_len = 10;
                  if (::fcntl(mine, F_GETLK, &asked) != 0 || asked.l_type != F_WRLCK) return 4;
                  return asked.l_start == 2 && asked.l_len == 4 ? 0 : 5;
              }) == 0);
        OK(set_lock(fd.get(), F_SETLK, F_UNLCK, 0, 0));
        CHECK(in_child([&] {
                  int mine = ::open(other.c_str(), O_RDWR | O_CLOEXEC);
                  return set_lock(mine, F_SETLK, F_WRLCK, 0, 0) == 0 ? 0 : errno;
              }) == 0);
    });
}

TEST_CASE("fcntl: open file description locks") {
    both_lock_modes([](Tree& tree, const std::string& path, const std::string& other) {
        UniqueFd first = open_file(path, O_RDWR), second = open_file(other, O_RDWR);
        OK(set_lock(first.get(), F_OFD_SETLK, F_WRLCK, 0, 5));
        FAILS(EAGAIN, set_lock(second.get(), F_OFD_SETLK, F_WRLCK, 4, 2));
        CHECK(set_lock(second.get(), F_OFD_SETLK, F_WRLCK, 5, 2) == 0);
        (void)tree;
    });
}

TEST_CASE("locks: whoever waits for one blocks nobody else, and gets it") {
    both_lock_modes([](Tree& tree, const std::string& path, const std::string& other) {
        UniqueFd fd = open_file(path, O_RDWR);
        OK(set_lock(fd.get(), F_SETLK, F_WRLCK, 0, 0));
        Child first([&] {
            int mine = ::open(other.c_str(), O_RDWR | O_CLOEXEC);
            return set_lock(mine, F_SETLKW, F_WRLCK, 0, 0) == 0 ? 0 : errno;
        });
        std::vector<std::unique_ptr<Child>> more;
        for (int i = 0; i < 12; i++)
            more.push_back(std::make_unique<Child>([&] {
                int mine = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
                return set_lock(mine, F_SETLKW, F_RDLCK, 0, 0) == 0 ? 0 : errno;
            }));
        nap(100);
        for (int i = 0; i < 50; i++) write_file(tree / "other" + std::to_string(i), "works");
        OK(set_lock(fd.get(), F_SETLK, F_UNLCK, 0, 0));
        CHECK(first.wait(10) == 0);
        for (auto& child : more) CHECK(child->wait(10) == 0);
    });
}

TEST_CASE("locks: a waiter that is killed leaves nothing behind") {
    both_lock_modes([](Tree&, const std::string& path, const std::string& other) {
        UniqueFd fd = open_file(path, O_RDWR);
        OK(::flock(fd.get(), LOCK_EX));
        {
            Child waiter([&] {
                int mine = ::open(other.c_str(), O_RDWR | O_CLOEXEC);
                return ::flock(mine, LOCK_EX);
            });
            nap(50);
        }
        OK(::flock(fd.get(), LOCK_UN));
        UniqueFd second = open_file(other, O_RDWR);
        CHECK(eventually([&] { return ::flock(second.get(), LOCK_EX | LOCK_NB) == 0; }));
    });
}

#include "fault/operations.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "fault/move.h"
#include "support/check.h"
#include "support/files.h"

namespace plyfs::test {
namespace {

using Go = std::function<void()>;

int rename2(const std::string& from, const std::string& to, unsigned flags = 0) {
    return err_of(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
}

// Operations by path alone.
Operation by_path(const char* name, int (*call)(const std::string& tree), const char* only = "") {
    return {name, {}, [call](const std::string& tree, const Go& go) { return go(), call(tree); }, only};
}

Operation reading(const char* name, int (*call)(const std::string& tree)) {
    Operation operation = by_path(name, call);
    operation.reads = true;
    return operation;
}

// The same where something has to be there first.
Operation after(const char* name, void (*prepare)(const std::string& tree), int (*call)(const std::string& tree),
                const char* only = "") {
    return {name, prepare, [call](const std::string& tree, const Go& go) { return go(), call(tree); }, only};
}

// Operations on an open file: opened before they begin.
Operation by_handle(const char* name, const char* file, int flags, int (*call)(int fd)) {
    return {name, {}, [=](const std::string& tree, const Go& go) {
                const UniqueFd fd(::open((tree + "/" + file).c_str(), flags | O_CLOEXEC));
                if (!fd.valid()) return errno;
                go();
                return call(fd.get());
            }};
}

int open_and_write(const std::string& path, int flags) {
    const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
    if (!fd.valid()) return errno;
    const ssize_t n = ::pwrite(fd.get(), "written", 7, 3000);
    return n == 7 ? 0 : n < 0 ? errno : kWrong;
}

int create(const std::string& path, int flags) {
    const UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | flags, 0640));
    return fd.valid() ? 0 : errno;
}

int stat_all(const std::string& tree) {
    struct stat st;
    for (const auto& [name, type] : {std::pair{"/d", S_IFDIR},
                                     {"/d/f", S_IFREG},
                                     {"/d/h", S_IFREG},
                                     {"/d/s", S_IFLNK},
                                     {"/d/p", S_IFIFO},
                                     {"/d/sub/y", S_IFREG},
                                     {"/o", S_IFREG}}) {
        if (::lstat((tree + name).c_str(), &st) != 0) return errno == ENOENT ? kWrong : errno;
        if ((st.st_mode & S_IFMT) != static_cast<mode_t>(type)) return kWrong;
    }
    if (::lstat((tree + "/d/none").c_str(), &st) == 0) return kWrong;
    return errno == ENOENT ? 0 : errno;
}

int list(const std::string& tree) {
    const int fd = ::open((tree + "/d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    const UniqueFd dir(fd);
    std::string names;
    char buffer[4096];
    for (;;) {
        const long n = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (n < 0) return errno;
        if (n == 0) break;
        for (long at = 0; at < n;) {
            unsigned short length;
            __builtin_memcpy(&length, buffer + at + 16, sizeof length);
            const std::string name(buffer + at + 19);
            if (name[0] != '.') names += "," + name;
            at += length;
        }
    }
    for (const char* name : {",f", ",g", ",h", ",linked", ",linked2", ",p", ",s", ",sub"}) {
        if ((names + ",").find(std::string(name) + ",") == std::string::npos) return kWrong;
    }
    return names.size() == 29 ? 0 : kWrong;
}

int read_whole(const std::string& tree) {
    const UniqueFd fd(::open((tree + "/d/f").c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return errno;
    std::string text(20000, '\0');
    const ssize_t n = ::pread(fd.get(), text.data(), text.size(), 0);
    if (n < 0) return errno;
    text.resize(static_cast<std::size_t>(n));
    return text == content_of("f") ? 0 : kWrong;
}

int read_attributes(const std::string& tree) {
    char value[256];
    const ssize_t n = ::lgetxattr((tree + "/d/f").c_str(), "user.note", value, sizeof value);
    if (n < 0) return errno == ENODATA ? kWrong : errno;
    if (std::string(value, static_cast<std::size_t>(n)) != "of f") return kWrong;
    const ssize_t all = ::llistxattr((tree + "/d/f").c_str(), value, sizeof value);
    if (all < 0) return errno;
    return std::string(value, static_cast<std::size_t>(all)).find("user.note") == std::string::npos ? kWrong : 0;
}

int read_target(const std::string& tree) {
    char target[64];
    const ssize_t n = ::readlink((tree + "/d/s").c_str(), target, sizeof target);
    if (n < 0) return errno;
    return std::string(target, static_cast<std::size_t>(n)) == "to f" ? 0 : kWrong;
}

int set_times(const std::string& path) {
    const timespec times[2] = {{1000000001, 1}, {1000000002, 2}};
    return err_of(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

void remove_w(const std::string& tree) {
    OK(::unlink((tree + "/w/w").c_str()));
}

void remove_sub(const std::string& tree) {
    for (const char* name : {"/d/sub/x", "/d/sub/y"}) OK(::unlink((tree + name).c_str()));
    OK(::rmdir((tree + "/d/sub").c_str()));
}

void empty_sub(const std::string& tree) {
    for (const char* name : {"/d/sub/x", "/d/sub/y"}) OK(::unlink((tree + name).c_str()));
}

void copy_up_f(const std::string& tree) {
    OK(::chmod((tree + "/d/f").c_str(), 0640));
}

const std::string kMore = "/e/new";

const Operation kOperations[] = {
    reading("stat", stat_all),
    reading("list", list),
    reading("read", read_whole),
    reading("readlink", read_target),
    reading("getxattr", read_attributes),
    reading("statfs",
            [](const std::string& tree) {
                struct statfs out;
                return err_of(::statfs((tree + "/d").c_str(), &out));
            }),
    by_path("open for writing", [](const std::string& tree) { return open_and_write(tree + "/d/f", O_RDWR); }),
    by_path("open in the second", [](const std::string& tree) { return open_and_write(tree + "/d/h", O_WRONLY); }),
    by_path("open with O_TRUNC", [](const std::string& tree) { return create(tree + "/d/f", O_TRUNC); }),
    by_path("open own", [](const std::string& tree) { return open_and_write(tree + "/o", O_RDWR); }),
    after("open a copy", copy_up_f, [](const std::string& tree) { return open_and_write(tree + "/d/f", O_RDWR); }),
    by_path("open a linked one", [](const std::string& tree) { return open_and_write(tree + "/d/linked", O_RDWR); }),
    by_path("chmod", [](const std::string& tree) { return err_of(::chmod((tree + "/d/f").c_str(), 0604)); }),
    by_path(
        "chmod a directory", [](const std::string& tree) { return err_of(::chmod((tree + "/d").c_str(), 0711)); },
        "layers"),
    by_path("chown", [](const std::string& tree) { return err_of(::chown((tree + "/d/f").c_str(), 9, 10)); }),
    by_path("chown a symlink",
            [](const std::string& tree) { return err_of(::lchown((tree + "/d/s").c_str(), 9, 10)); }),
    by_path("chown a fifo", [](const std::string& tree) { return err_of(::chown((tree + "/d/p").c_str(), 9, 10)); }),
    by_path("utimens", [](const std::string& tree) { return set_times(tree + "/d/f"); }),
    by_path("utimens of a symlink", [](const std::string& tree) { return set_times(tree + "/d/s"); }),
    by_path("truncate", [](const std::string& tree) { return err_of(::truncate((tree + "/d/f").c_str(), 3000)); }),
    by_path("truncate to more",
            [](const std::string& tree) { return err_of(::truncate((tree + "/d/f").c_str(), 40000)); }),
    by_path("setxattr",
            [](const std::string& tree) {
                return err_of(::lsetxattr((tree + "/d/f").c_str(), "user.more", "more", 4, 0));
            }),
    by_path("removexattr",
            [](const std::string& tree) { return err_of(::lremovexattr((tree + "/d/f").c_str(), "user.note")); }),
    by_path("create", [](const std::string& tree) { return create(tree + kMore, O_EXCL); }),
    after("create over a whiteout", remove_w, [](const std::string& tree) { return create(tree + "/w/w", O_EXCL); }),
    by_path("mkdir", [](const std::string& tree) { return err_of(::mkdir((tree + kMore).c_str(), 0750)); }),
    after("mkdir over a whiteout", remove_sub,
          [](const std::string& tree) { return err_of(::mkdir((tree + "/d/sub").c_str(), 0750)); }),
    by_path("mknod", [](const std::string& tree) { return err_of(::mkfifo((tree + kMore).c_str(), 0640)); }),
    by_path("symlink", [](const std::string& tree) { return err_of(::symlink("there", (tree + kMore).c_str())); }),
    by_path("unlink", [](const std::string& tree) { return err_of(::unlink((tree + "/d/f").c_str())); }),
    by_path("unlink own", [](const std::string& tree) { return err_of(::unlink((tree + "/o").c_str())); }),
    after("unlink a copy", copy_up_f,
          [](const std::string& tree) { return err_of(::unlink((tree + "/d/f").c_str())); }),
    by_path("unlink a linked one",
            [](const std::string& tree) { return err_of(::unlink((tree + "/d/linked").c_str())); }),
    by_path(
        "unlink twins", [](const std::string& tree) { return err_of(::unlink((tree + "/twin").c_str())); }, "pool"),
    by_path("rmdir", [](const std::string& tree) { return err_of(::rmdir((tree + "/e").c_str())); }),
    after("rmdir of whiteouts", empty_sub,
          [](const std::string& tree) { return err_of(::rmdir((tree + "/d/sub").c_str())); }),
    by_path("rename", [](const std::string& tree) { return rename2(tree + "/d/f", tree + kMore); }),
    by_path("rename own", [](const std::string& tree) { return rename2(tree + "/o", tree + "/d/o"); }),
    by_path("rename over another", [](const std::string& tree) { return rename2(tree + "/d/f", tree + "/d/g"); }),
    by_path("rename over one elsewhere", [](const std::string& tree) { return rename2(tree + "/d/f", tree + "/o"); }),
    by_path("rename from elsewhere", [](const std::string& tree) { return rename2(tree + "/o", tree + "/d/f"); }),
    after("rename over a whiteout", remove_w,
          [](const std::string& tree) { return rename2(tree + "/d/f", tree + "/w/w"); }),
    by_path(
        "rename twins", [](const std::string& tree) { return rename2(tree + "/twin", tree + "/d/twin"); }, "pool"),
    {"move", {}, [](const std::string& tree, const Go& go) { return move_file(tree, {"d/f"}, go); }, "pool"},
    {"move a linked one",
     {},
     [](const std::string& tree, const Go& go) { return move_file(tree, {"d/linked", "d/linked2"}, go); },
     "pool"},
    by_path("exchange", [](const std::string& tree) { return rename2(tree + "/d/f", tree + "/d/h", RENAME_EXCHANGE); }),
    by_path("exchange with own",
            [](const std::string& tree) { return rename2(tree + "/d/f", tree + "/o", RENAME_EXCHANGE); }),
    by_path("exchange directories",
            [](const std::string& tree) { return rename2(tree + "/d/sub", tree + "/e", RENAME_EXCHANGE); }),
    by_path("rename a directory", [](const std::string& tree) { return rename2(tree + "/d/sub", tree + "/e/sub"); }),
    by_path("rename a directory over another",
            [](const std::string& tree) { return rename2(tree + "/d/sub", tree + "/e"); }),
    by_path("rename an own directory", [](const std::string& tree) { return rename2(tree + "/od", tree + "/d/od"); }),
    by_path("link",
            [](const std::string& tree) { return err_of(::link((tree + "/d/f").c_str(), (tree + kMore).c_str())); }),
    by_path("link a symlink",
            [](const std::string& tree) { return err_of(::link((tree + "/d/s").c_str(), (tree + kMore).c_str())); }),
    by_handle("ftruncate", "o", O_RDWR, [](int fd) { return err_of(::ftruncate(fd, 4000)); }),
    by_handle("fchmod", "d/f", O_RDONLY, [](int fd) { return err_of(::fchmod(fd, 0604)); }),
    by_handle("fsync", "o", O_RDWR, [](int fd) { return err_of(::fsync(fd)); }),
    by_handle("fsync a directory", "d", O_RDONLY | O_DIRECTORY, [](int fd) { return err_of(::fsync(fd)); }),
    by_handle("fallocate", "o", O_RDWR, [](int fd) { return err_of(::fallocate(fd, 0, 4000, 30000)); }),
    by_handle("punch", "o", O_RDWR,
              [](int fd) { return err_of(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)); }),
    by_handle("seek", "o", O_RDWR, [](int fd) { return err_of(::lseek(fd, 0, SEEK_HOLE)); }),
    by_handle("copy_file_range", "o", O_RDWR,
              [](int fd) {
                  off_t from = 0, to = 8192;
                  const ssize_t n = ::copy_file_range(fd, &from, fd, &to, 4000, 0);
                  return n == 4000 ? 0 : n < 0 ? errno : kWrong;
              }),
};

}  // namespace

// The same in each run, so that a fault that was seen is seen again.
int chance() {
    static std::minstd_rand random([] {
        const char* seed = std::getenv("PLYFS_FAULT_SEED");
        return static_cast<unsigned>(seed ? std::strtoul(seed, nullptr, 10) : 1);
    }());
    return static_cast<int>(random() & 0x7fff);
}

std::vector<int> some_of(int last, int wanted) {
    std::vector<int> numbers;
    for (int number = 1; number <= last; ++number) numbers.push_back(number);
    while (wanted > 0 && numbers.size() > static_cast<std::size_t>(wanted)) {
        numbers.erase(numbers.begin() +
                      static_cast<std::ptrdiff_t>(static_cast<std::size_t>(chance()) % numbers.size()));
    }
    return numbers;
}

void walk(const std::string& tree) {
    struct stat st;
    for (const char* name : {"/d/f", "/d/g", "/d/h", "/d/s", "/d/p", "/d/linked", "/d/linked2", "/d/sub", "/e", "/w",
                             "/o", "/od", "/twin"}) {
        (void)::lstat((tree + name).c_str(), &st);
    }
}

std::vector<const Operation*> operations_of(Kind kind, const char* only) {
    const char* wanted = only ? only : std::getenv("PLYFS_FAULT_ONLY");
    const std::string ours = kind == Kind::layers ? "layers" : "pool";
    std::vector<const Operation*> out;
    for (const Operation& operation : kOperations) {
        const bool fits = operation.only == std::string() || operation.only == ours;
        if (fits && (!wanted || operation.name == std::string(wanted))) out.push_back(&operation);
    }
    return out;
}

}  // namespace plyfs::test

// A write takes away what a program file was trusted with: set-user-id, set-group-id with group execute,
// capabilities. Every case is done twice, on the branch's own file system and through the mount, and must end
// with the same mode.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

struct Way {
    std::string name;
    std::function<int(const std::string& path)> change;  // 0 or errno; runs in a child
};

int with_fd(const std::string& path, int flags, const std::function<bool(int)>& change) {
    int fd = ::open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) return errno;
    return change(fd) ? 0 : errno;
}

const std::vector<Way>& ways() {
    static const std::vector<Way> all = {
        {"pwrite", [](auto& p) { return with_fd(p, O_RDWR, [](int fd) { return ::pwrite(fd, "x", 1, 0) == 1; }); }},
        {"append",
         [](auto& p) { return with_fd(p, O_WRONLY | O_APPEND, [](int fd) { return ::write(fd, "x", 1) == 1; }); }},
        {"O_TRUNC", [](auto& p) { return with_fd(p, O_WRONLY | O_TRUNC, [](int) { return true; }); }},
        {"truncate", [](auto& p) { return ::truncate(p.c_str(), 10) == 0 ? 0 : errno; }},
        {"ftruncate", [](auto& p) { return with_fd(p, O_RDWR, [](int fd) { return ::ftruncate(fd, 10) == 0; }); }},
        {"fallocate",
         [](auto& p) { return with_fd(p, O_RDWR, [](int fd) { return ::fallocate(fd, 0, 0, 20000) == 0; }); }},
        {"copy_file_range",
         [](auto& p) {
             return with_fd(p, O_RDWR, [](int fd) {
                 off_t from = 0, to = 5000;
                 return ::copy_file_range(fd, &from, fd, &to, 100, 0) == 100;
             });
         }},
        {"splice",
         [](auto& p) {
             return with_fd(p, O_RDWR, [](int fd) {
                 int ends[2];
                 off_t at = 0;
                 return ::pipe(ends) == 0 && ::write(ends[1], "x", 1) == 1 &&
                        ::splice(ends[0], nullptr, fd, &at, 1, 0) == 1;
             });
         }},
        {"chown",
         [](auto& p) {
             return ::geteuid() == 0 ? (::chown(p.c_str(), 1, 1) == 0 ? 0 : errno)
                                     : with_fd(p, O_RDWR, [](int fd) { return ::write(fd, "x", 1) == 1; });
         }},
    };
    return all;
}

void make_program(const std::string& path, mode_t mode, bool capable) {
    write_file(path, pattern(5000));
    OK(::chmod(path.c_str(), mode));
    if (capable) must_run({"setcap", "cap_net_raw+ep", path});
}

struct After {
    mode_t mode;
    bool capable;
    int result;
    bool operator==(const After&) const = default;
};

// Asked for alone: the kernel may hold another opinion of it than of the size, which it knows to have changed.
mode_t mode_of(const std::string& path) {
    struct statx st {};
    OK(::statx(AT_FDCWD, path.c_str(), 0, STATX_MODE, &st));
    return st.stx_mode & 07777U;
}

After change(const std::string& path, const Way& way, uid_t uid) {
    After after{};
    // What the kernel holds from before is not what is so afterwards.
    CHECK(stat_of(path).st_size > 0);
    after.result = uid ? as_user({.uid = uid, .gid = uid, .groups = {}}, [&] { return way.change(path); })
                       : in_child([&] { return way.change(path); });
    after.mode = mode_of(path);
    after.capable = get_xattr(path, "security.capability") != "(none)";
    return after;
}

void compare(const std::string& options, bool capable) {
    if (!have_tool("setcap")) skip("setcap is needed");
    in_both_modes(
        [&](Tree& tree) {
            OK(::chmod(tree.below().c_str(), 0777));
            for (const Way& way : ways())
                for (mode_t mode : {06777u, 02767u, 04777u})
                    for (uid_t uid : {0u, 1000u})
                        make_program(tree.below() + "/" + way.name + std::to_string(mode) + "." + std::to_string(uid),
                                     mode, capable && uid);
        },
        [&](Tree& tree) {
            Counter count(tree.mnt());
            std::string native =
                (tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a) + "/../native";
            make_dirs(native);
            OK(::chmod(native.c_str(), 0777));
            for (const Way& way : ways())
                for (mode_t mode : {06777u, 02767u, 04777u})
                    for (uid_t uid : {0u, 1000u}) {
                        std::string name = way.name + std::to_string(mode) + "." + std::to_string(uid);
                        make_program(native + "/" + name, mode, capable && uid);
                        After wanted = change(native + "/" + name, way, uid);
                        for (int time : {1, 2}) {  // from below, then once more on what is writable now
                            if (time == 2) make_program(tree / name, mode, capable && uid);
                            After got = change(tree / name, way, uid);
                            INFO(way.name, " by ", uid, " of mode ", mode, ", time ", time, ": mode ", got.mode,
                                 " instead of ", wanted.mode, ", capabilities ", got.capable, ", result ", got.result);
                            CHECK((got == wanted));
                        }
                    }
            if (options.empty()) CHECK(count.served() == 0);
        },
        options);
}

}  // namespace

TEST_CASE("killpriv: set-id bits after a change, passed through") {
    compare("", false);
}
TEST_CASE("killpriv: set-id bits and capabilities after a change, passed through") {
    compare("", true);
}
TEST_CASE("killpriv: set-id bits after a change, served by the daemon") {
    compare(is_standin() ? "" : "passthrough=off", false);
}
TEST_CASE("killpriv: set-id bits and capabilities after a change, served by the daemon") {
    compare(is_standin() ? "" : "passthrough=off", true);
}

TEST_CASE("killpriv: a program with capabilities keeps them while nobody writes, and can be run") {
    if (!have_tool("setcap") || !have_tool("getpcaps")) skip("setcap is needed");
    in_both_modes([](Tree& tree) {
        must_run({"cp", "/bin/cat", tree / "cat"});
        must_run({"setcap", "cap_dac_read_search+ep", tree / "cat"});
        write_file(tree / "secret", "secret", 0600);
        CHECK(as_user({}, [&] { return ::execl((tree / "cat").c_str(), "cat", (tree / "secret").c_str(), nullptr); }) ==
              0);
        write_fd(open_file(tree / "cat", O_WRONLY).get(), "\x7f", 0);
        CHECK(get_xattr(tree / "cat", "security.capability") == "(none)");
    });
}

TEST_CASE(
    "killpriv: a change of owner that names nobody takes set-id bits for the owner alone, and none of directories") {
    if (is_unprivileged()) skip("about several users");
    for (const bool layers : {true, false}) {
        CAPTURE(layers);
        std::unique_ptr<Tree> tree;
        if (layers) {
            tree = std::make_unique<Layers>();
        } else {
            tree = std::make_unique<Pool>();
        }
        const std::string& below = tree->below();
        write_file(below + "/su", "x", 04755);
        write_file(below + "/own", "x", 04755);
        OK(::chown((below + "/own").c_str(), 1000, 1000));
        OK(::chmod((below + "/own").c_str(), 04755));
        write_file(below + "/plain", "x", 0644);
        make_dirs(below + "/dir");
        OK(::chmod((below + "/dir").c_str(), 02777));
        tree->mount();
        const auto chown_as_user = [&](const std::string& name) {
            const std::string path = *tree / name;
            return as_user({}, [&] { return err_of(::chown(path.c_str(), -1, -1)); });
        };
        CHECK(chown_as_user("su") == EPERM);
        CHECK(chown_as_user("plain") == 0);
        CHECK(chown_as_user("dir") == 0);
        CHECK(chown_as_user("own") == 0);
        CHECK((stat_of(*tree / "su").st_mode & 07777) == 04755);
        CHECK((stat_of(*tree / "dir").st_mode & 07777) == 02777);
        CHECK((stat_of(*tree / "own").st_mode & 07777) == 0755);
    }
}

TEST_CASE("xattr: which trusted ones there are is not told to users") {
    if (is_unprivileged()) skip("about trusted.*");
    in_both_modes([](Tree& tree) {
        write_file(tree / "f", "x", 0644);
        OK(::setxattr((tree / "f").c_str(), "trusted.secret", "1", 1, 0));
        OK(::setxattr((tree / "f").c_str(), "user.open", "1", 1, 0));
        const std::string path = tree / "f";
        const auto length = [&] { return static_cast<int>(::listxattr(path.c_str(), nullptr, 0)); };
        CHECK(as_user({}, length) == static_cast<int>(sizeof "user.open"));
        CHECK(length() == static_cast<int>(sizeof "user.open" + sizeof "trusted.secret"));
    });
}

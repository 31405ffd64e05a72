// seccomp=on: the daemon has given up what it does not need, and serves all the same. By hand, everything with it:
//     PLYFS_TEST_OPTIONS=seccomp=on build/dev/tests/mount/mount_tests
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// The threads of a process that have no filter.
std::string unfiltered(pid_t process) {
    std::string names;
    const std::string tasks = "/proc/" + std::to_string(process) + "/task";
    for (const std::string& task : list_dir(tasks)) {
        const std::string status = read_file(tasks + "/" + task + "/status");
        if (status.find("Seccomp:\t2") == std::string::npos) names += status.substr(0, status.find('\n')) + "; ";
    }
    return names;
}

void use(const Tree& tree) {
    write_file(tree / "below", "changed");
    write_file(tree / "new", "new");
    OK(::rename((tree / "new").c_str(), (tree / "d/new").c_str()));
    OK(::link((tree / "d/new").c_str(), (tree / "other").c_str()));
    set_xattr(tree / "other", "user.note", "x");
    OK(::unlink((tree / "d/gone").c_str()));
    CHECK(read_file(tree / "below") == "changed");
    CHECK(list_dir(tree / "d") == std::vector<std::string>{"new"});
    CHECK(run_plyctl({"status", tree.mnt()}).code == 0);
}

}  // namespace

TEST_CASE("seccomp: all threads have a filter, and everything goes on") {
    need_privilege("seccomp=on");
    in_both_modes(
        [](Tree& tree) {
            make_dirs(tree.below() + "/d");
            write_file(tree.below() + "/d/gone", "x");
            write_file(tree.below() + "/below", "x");
        },
        [](Tree& tree) {
            use(tree);
            CHECK(unfiltered(static_cast<pid_t>(tree.stats()["pid"])) == "");
        },
        "seccomp=on");
}

TEST_CASE("seccomp: who starts no program says why other branches can not be had, and has them with a supervisor") {
    need_privilege("seccomp=on");
    if (is_standin()) skip("about plyfs itself");
    if (wanted_transport() == "io_uring") skip("rings end with the daemon that has them");
    Pool pool;
    const std::string more = pool.a + ".more";
    make_dirs(more);
    pool.mount("seccomp=on");
    const Ran refused = run_plyctl({"branch", "add", pool.mnt(), more});
    CHECK(refused.code == 1);
    CHECK(refused.err.find("seccomp=on") != std::string::npos);
    pool.unmount();
    pool.mount("seccomp=on,supervise=on");
    const Ran added = run_plyctl({"branch", "add", pool.mnt(), more});
    INFO(added.err);
    CHECK(added.code == 0);
    CHECK(unfiltered(static_cast<pid_t>(pool.stats()["pid"])) == "");
    const pid_t before = static_cast<pid_t>(pool.stats()["pid"]);
    OK(::kill(before, SIGKILL));
    CHECK(eventually([&] { return static_cast<pid_t>(pool.stats()["pid"]) != before; }));
    write_file(pool / "f", "x");
    CHECK(unfiltered(static_cast<pid_t>(pool.stats()["pid"])) == "");
}

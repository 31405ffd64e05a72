// No path ever leaves a branch: whoever can write to a branch can plant a symlink where the mount knows a
// directory, and must reach nothing with it that lies outside.
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

struct Outside {
    explicit Outside(Tree& tree) : path(tree.scratch().dir("outside")) {
        make_dirs(path + "/sub");
        write_file(path + "/secret", "secret");
        write_file(path + "/sub/f", "secret");
        before = TreeDigest::of(path);
    }
    void unchanged() const { CHECK(before.difference(TreeDigest::of(path)) == ""); }
    std::string path;
    TreeDigest before;
};

// Everything one can do with names in d. What it gives does not matter (what was deleted may still be open),
// where it goes does.
void try_everything(const std::string& d) {
    auto path = [&](const std::string& name) { return d + "/" + name; };
    long done = 0;
    done += try_open(path("new"), O_CREAT | O_WRONLY) == 0;
    done += ::mkdir(path("newdir").c_str(), 0755) == 0;
    done += ::symlink("x", path("newlink").c_str()) == 0;
    done += ::mknod(path("newnode").c_str(), S_IFIFO | 0600, 0) == 0;
    for (std::string name : {"secret", "sub/f"}) {
        UniqueFd fd(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
        if (fd.valid()) CHECK(read_fd(fd.get()) != "secret");
        done += try_open(path(name), O_RDWR | O_TRUNC) == 0;
        done += ::chmod(path(name).c_str(), 0777) == 0;
        done += ::lchown(path(name).c_str(), 1, 1) == 0;
        done += ::truncate(path(name).c_str(), 0) == 0;
        done += ::link(path(name).c_str(), path("linked").c_str()) == 0;
        done += ::rename(path(name).c_str(), path("renamed").c_str()) == 0;
        done += ::unlink(path(name).c_str()) == 0;
    }
    done += ::rmdir(path("sub").c_str()) == 0;
    MESSAGE(done << " calls were answered with success");
}

}  // namespace

TEST_CASE("containment: a symlink in place of a directory that the mount knows") {
    for (std::string target : {"absolute", "relative"})
        in_both_modes(
            [](Tree& tree) {
                std::string top = tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a;
                make_dirs(top + "/d/sub");
                write_file(top + "/d/secret", "harmless");
                write_file(top + "/d/sub/f", "harmless");
            },
            [&](Tree& tree) {
                Outside outside(tree);
                std::string top = tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a;
                // Known to the kernel: the directory, files in it, and a descriptor of it.
                CHECK(read_file(tree / "d/sub/f") == "harmless");
                CHECK(read_file(tree / "d/secret") == "harmless");
                UniqueFd dir = open_file(tree / "d", O_RDONLY | O_DIRECTORY);
                must_run({"rm", "-r", top + "/d"});
                std::string text = target == "absolute" ? outside.path : "../../outside";
                OK(::symlink(text.c_str(), (top + "/d").c_str()));
                try_everything("/proc/self/fd/" + std::to_string(dir.get()));
                // By path the symlink itself may be what the tree has now: the caller's own kernel would
                // follow it.
                UniqueFd now(::open((tree / "d").c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
                if (now.valid()) try_everything("/proc/self/fd/" + std::to_string(now.get()));
                outside.unchanged();
            });
}

TEST_CASE("containment: a symlink in place of a parent, with the child known") {
    in_both_modes(
        [](Tree& tree) {
            std::string top = tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a;
            make_dirs(top + "/p/d/sub");
            write_file(top + "/p/d/secret", "harmless");
            write_file(top + "/p/d/sub/f", "harmless");
        },
        [](Tree& tree) {
            Outside outside(tree);
            std::string top = tree.layered() ? static_cast<Layers&>(tree).upper : static_cast<Pool&>(tree).a;
            UniqueFd dir = open_file(tree / "p/d", O_RDONLY | O_DIRECTORY);
            UniqueFd file = open_file(tree / "p/d/secret", O_PATH);
            must_run({"mv", top + "/p", top + "/moved"});
            OK(::mkdir((outside.path + "/p").c_str(), 0755));
            OK(::mkdir((outside.path + "/p/d").c_str(), 0755));
            write_file(outside.path + "/p/d/secret", "secret");
            OK(::symlink((outside.path + "/p").c_str(), (top + "/p").c_str()));
            TreeDigest before = TreeDigest::of(outside.path);
            // Through the descriptors the old directory may still be reached: that is inside. The outside is
            // not.
            (void)try_open("/proc/self/fd/" + std::to_string(dir.get()) + "/new", O_CREAT | O_WRONLY);
            (void)::unlinkat(dir.get(), "secret", 0);
            if (::mkdirat(dir.get(), "newdir", 0755) == 0) MESSAGE("the old directory is still reached");
            (void)try_open("/proc/self/fd/" + std::to_string(file.get()), O_RDWR | O_TRUNC);
            CHECK(before.difference(TreeDigest::of(outside.path)) == "");
        });
}

// Whoever owns an object can set user.overlay.*: a redirect or metacopy there would show him what he may not see.
TEST_CASE("containment: marks that users can set lead nowhere") {
    need_privilege("trusted.* attributes");
    Layers tree;
    make_dirs(tree.lower + "/closed/sub");
    write_file(tree.lower + "/closed/secret", "secret");
    make_dirs(tree.lower2 + "/closed");
    for (const std::string& root : {tree.upper, tree.lower}) {
        const std::string mine = root + (root == tree.upper ? "/up" : "/low");
        make_dirs(mine + "/d");
        write_file(mine + "/f", "mine");
        set_xattr(mine + "/d", "user.overlay.redirect", "/closed");
        set_xattr(mine + "/f", "user.overlay.redirect", "/closed/secret");
        set_xattr(mine + "/f", "user.overlay.metacopy", "");
    }
    const auto check = [&](int error) {
        for (std::string mine : {"up", "low"}) {
            CAPTURE(mine);
            FAILS(error ? error : ENOENT, ::access((tree / (mine + "/d/secret")).c_str(), F_OK));
            if (error) FAILS(error, ::access((tree / (mine + "/f")).c_str(), F_OK));
            if (!error) CHECK(read_file(tree / (mine + "/f")) == "mine");
        }
    };
    SUBCASE("by default") {
        tree.mount();
        check(0);
    }
    SUBCASE("with metacopy") {
        tree.mount("metacopy=on");
        check(0);
    }
    SUBCASE("with userxattr, where they are the only ones") {
        tree.mount("userxattr");
        check(EPERM);
    }
    SUBCASE("unless that is asked for") {
        tree.mount("userxattr,redirect_dir=follow");
        CHECK(read_file(tree / "up/d/secret") == "secret");
    }
}

TEST_CASE("containment: symlinks of users stay text, and dotdot at the root stays in the mount's parent") {
    in_both_modes([](Tree& tree) {
        Outside outside(tree);
        OK(::symlink(outside.path.c_str(), (tree / "away").c_str()));
        CHECK(link_target(tree / "away") == outside.path);
        CHECK(read_file(tree / "away/secret") == "secret");  // followed by the caller's own kernel
        CHECK(stat_of(tree / "..").st_ino == stat_of(tree.scratch().path()).st_ino);
        FAILS(ENOENT, ::open((tree / "../mnt/never").c_str(), O_RDONLY | O_CLOEXEC));
        outside.unchanged();
    });
}

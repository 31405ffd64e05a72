// In user namespaces: what needs privilege is done without, or left out with a word. Run with --unprivileged, as are
// most of the other mount tests once more.
#include <sys/xattr.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

void only_unprivileged() {
    if (!is_unprivileged()) skip("about mounts without privilege: --unprivileged");
    if (is_standin()) skip("about plyfs itself");
}

}  // namespace

TEST_CASE("userns: nothing is registered with the kernel, the daemon reads and writes, and says why") {
    only_unprivileged();
    Layers tree;
    write_file(tree.lower + "/f", pattern(300000));
    tree.mount();
    Counter count(tree.mnt());
    CHECK(read_file(tree / "f") == pattern(300000));
    write_file(tree / "new", pattern(5000, 2));
    write_fd(open_file(tree / "f", O_WRONLY).get(), "changed", 0);
    CHECK(read_file(tree / "f") == "changed" + pattern(300000).substr(7));
    CHECK(count("opens.passthrough") == 0);
    CHECK(count("backings.opened") == 0);
    CHECK(count("opens.cached") > 0);
    bool told = false;
    for (int branch = 0; branch < 3; branch++) {
        const std::string key = "branch." + std::to_string(branch) + ".passthrough";
        const std::string verdict = tree.stats().text(key), why = tree.stats().text(key + "_why");
        CHECK(verdict != "yes");
        told = told || (verdict == "no" && !why.empty());
    }
    CHECK(told);
}

TEST_CASE("userns: marks are attributes of users, and nothing of them is seen") {
    only_unprivileged();
    Layers tree;
    make_dirs(tree.lower + "/d/sub");
    make_dirs(tree.lower + "/e");
    write_file(tree.lower + "/d/sub/f", "f");
    write_file(tree.lower + "/e/gone", "gone");
    write_file(tree.lower + "/large", pattern(100000));
    tree.mount("metacopy=on");
    OK(::rename((tree / "d").c_str(), (tree / "moved").c_str()));
    must_run({"rm", "-r", tree / "e"});
    OK(::mkdir((tree / "e").c_str(), 0755));
    OK(::chmod((tree / "large").c_str(), 0600));
    OK(::chown((tree / "large").c_str(), 5, 6));
    CHECK(get_xattr(tree.upper + "/moved", "user.overlay.redirect") == "/d");
    CHECK(get_xattr(tree.upper + "/e", "user.overlay.opaque") == "y");
    CHECK(get_xattr(tree.upper + "/large", "user.overlay.metacopy") == "");
    CHECK(stat_of(tree.upper + "/large").st_blocks == 0);
    for (int round = 0; round < 2; round++) {
        for (std::string name : {"moved", "e", "large"}) CHECK(all_xattrs(tree / name).empty());
        CHECK(list_dir(tree / "e").empty());
        CHECK(read_file(tree / "moved/sub/f") == "f");
        CHECK(read_file(tree / "large") == pattern(100000));
        CHECK(stat_of(tree / "large").st_gid == 6);
        if (round == 0) {
            tree.unmount();
            tree.mount("metacopy=on");
        }
    }
}

// As unshare -Ur makes it: one id there is, and setgroups is denied.
TEST_CASE("userns: a user with one id, who can not leave his groups") {
    only_unprivileged();
    Scratch scratch;
    OK(::chmod(scratch.path().c_str(), 0777));
    const std::string script = R"(
        set -e; cd "$1"; plyfs=$2; options=lowerdir=lower,upperdir=upper,workdir=work,transport=$3
        umask 022; mkdir -p lower/d upper work mnt
        echo low >lower/f; ln lower/f lower/g; echo x >lower/d/x; echo y >lower/d/y
        "$plyfs" -o "$options" mnt
        echo more >>mnt/f; cat mnt/g
        mv mnt/d mnt/e; cat mnt/e/x; rm mnt/e/x; mkdir mnt/d; ls mnt/d
        : >mnt/made; stat -c %u:%g:%a mnt/made; chmod 640 mnt/g
        umount mnt
        "$plyfs" -o "$options" mnt
        stat -c %u:%g:%a:%h mnt/f mnt/g; cat mnt/g; ls mnt/d mnt/e
        umount mnt
    )";
    const Ran ran = run({"setpriv", "--reuid=1000", "--regid=1000", "--groups=1000,2000", "unshare", "-Urm", "sh", "-c",
                         script, "sh", scratch.path(), plyfs_binary(), wanted_transport()},
                        30);
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.out == "low\nmore\nx\n0:0:644\n0:0:640:2\n0:0:640:2\nlow\nmore\nmnt/d:\n\nmnt/e:\ny\n");
}

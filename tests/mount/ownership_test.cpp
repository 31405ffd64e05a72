// Who owns what is shown: mapped and squashed ids, and owners, modes and types that are kept in attributes.
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr const char* kMaps = "uidmapping=0:100000:65536,gidmapping=0:200000:65536";
constexpr const char* kContainers = "user.containers.override_stat";
constexpr const char* kPrivileged = "security.fuseoverlayfs.override_stat";
constexpr const char* kOlder = "user.fuseoverlayfs.override_stat";

// Owner, mode with type, and device, as one line.
std::string look(const std::string& path) {
    const struct stat st = lstat_of(path);
    char text[96];
    std::snprintf(text, sizeof text, "%u:%u %o", st.st_uid, st.st_gid, st.st_mode);
    std::string out = text;
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
        out += " " + std::to_string(major(st.st_rdev)) + ":" + std::to_string(minor(st.st_rdev));
    }
    return out;
}

void write_as(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
    write_file(path, "content");
    OK(::chown(path.c_str(), uid, gid));
    OK(::chmod(path.c_str(), mode));
}

// The attributes of a file on disk, without the quirks of what a file system adds.
std::string raw_xattr(const std::string& path, const char* name) {
    return get_xattr(path, name);
}

void open_upper(Layers& tree) {
    OK(::chmod(tree.upper.c_str(), 0777));
    OK(::chmod(tree.lower.c_str(), 0777));
}

}  // namespace

TEST_CASE("id mapping: owners are shown shifted and stored unshifted") {
    Layers tree;
    write_as(tree.lower + "/root", 0, 0, 0644);
    write_as(tree.lower + "/user", 1000, 1001, 0600);
    write_as(tree.lower + "/foreign", 70000, 70001, 0644);
    write_as(tree.lower + "/shifted", 100005, 200006, 0644);
    make_dirs(tree.lower + "/dir");
    OK(::chown((tree.lower + "/dir").c_str(), 1000, 1001));
    OK(::chmod((tree.lower + "/dir").c_str(), 0700));
    tree.mount(kMaps);
    CHECK(look(tree / "root") == "100000:200000 100644");
    CHECK(look(tree / "user") == "101000:201001 100600");
    CHECK(look(tree / "foreign") == "65534:65534 100644");
    CHECK(look(tree / "shifted") == "100005:200006 100644");
    CHECK(look(tree / "dir") == "101000:201001 40700");

    SUBCASE("chown is translated back") {
        OK(::chown((tree / "root").c_str(), 100042, 200043));
        CHECK(look(tree / "root") == "100042:200043 100644");
        CHECK(look(tree.upper + "/root") == "42:43 100644");
        OK(::lchown((tree / "user").c_str(), 4000, static_cast<gid_t>(-1)));  // nobody there
        CHECK(look(tree.upper + "/user") == "65534:1001 100600");
    }
    SUBCASE("a copy keeps its owner, one that was shifted already is stored unshifted") {
        for (const char* name : {"user", "foreign", "shifted"}) OK(::chmod((tree / name).c_str(), 0640));
        CHECK(look(tree.upper + "/user") == "1000:1001 100640");
        CHECK(look(tree.upper + "/foreign") == "70000:70001 100640");
        CHECK(look(tree.upper + "/shifted") == "5:6 100640");
        CHECK(look(tree / "shifted") == "100005:200006 100640");
        write_file(tree / "dir/new", "x");
        CHECK(look(tree.upper + "/dir") == "1000:1001 40700");
    }
    SUBCASE("what callers make is theirs") {
        CHECK(as_user({.uid = 101000, .gid = 201001}, [&] {
                  const std::string dir = tree / "dir";
                  ::umask(027);
                  if (::mkdir((dir + "/d").c_str(), 0777) != 0) return errno;
                  if (::symlink("x", (dir + "/l").c_str()) != 0) return errno;
                  if (::mkfifo((dir + "/p").c_str(), 0666) != 0) return errno;
                  return try_open(dir + "/f", O_CREAT | O_WRONLY, 0666);
              }) == 0);
        for (const char* name : {"d", "l", "p", "f"}) {
            CAPTURE(name);
            CHECK(lstat_of(tree / ("dir/" + std::string(name))).st_uid == 101000);
            CHECK(lstat_of(tree.upper + "/dir/" + name).st_uid == 1000);
            CHECK(lstat_of(tree.upper + "/dir/" + name).st_gid == 1001);
        }
        CHECK(look(tree / "dir/f") == "101000:201001 100640");
        // Others stay out: permissions are checked against what is shown.
        CHECK(as_user({.uid = 1000, .gid = 1001}, [&] { return try_open(tree / "dir/f", O_RDONLY); }) == EACCES);
    }
    SUBCASE("after a new mount it is the same") {
        OK(::chown((tree / "root").c_str(), 100042, 200043));
        tree.unmount();
        tree.mount(kMaps);
        CHECK(look(tree / "root") == "100042:200043 100644");
    }
}

TEST_CASE("id mapping: the group handed on by a directory is the mapped one") {
    Layers tree;
    open_upper(tree);
    make_dirs(tree.lower + "/d");
    OK(::chown((tree.lower + "/d").c_str(), 0, 50));
    OK(::chmod((tree.lower + "/d").c_str(), 02777));
    tree.mount(kMaps);
    CHECK(as_user({.uid = 101000, .gid = 201000, .groups = {200050}}, [&] {
              if (::mkdir((tree / "d/s").c_str(), 0755) != 0) return errno;
              int fd = ::open((tree / "d/f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 02775);
              return fd < 0 ? errno : 0;
          }) == 0);
    CHECK(look(tree / "d/s") == "101000:200050 42755");
    CHECK(look(tree.upper + "/d/s") == "1000:50 42755");
    // A member of the group may keep setgid.
    CHECK(look(tree / "d/f") == "101000:200050 102755");
}

TEST_CASE("id mapping: ACLs and capabilities carry ids as well") {
    if (!have_tool("setfacl")) skip("setfacl is needed");
    Layers tree;
    write_as(tree.lower + "/f", 0, 0, 0600);
    must_run({"setfacl", "-m", "u:1000:r,g:1001:rw", tree.lower + "/f"});
    write_as(tree.lower + "/cap", 0, 0, 0755);
    must_run({"setfattr", "-n", "security.capability", "-v", "0x0100000200040000000000000000000000000000",
              tree.lower + "/cap"});
    tree.mount(kMaps);
    auto named = [](const std::string& path) { return must_run({"getfacl", "-cpn", path}).out; };
    CHECK(named(tree / "f").find("user:101000:r--") != std::string::npos);
    CHECK(named(tree / "f").find("group:201001:rw-") != std::string::npos);
    CHECK(as_user({.uid = 101000, .gid = 1}, [&] { return try_open(tree / "f", O_RDONLY); }) == 0);
    CHECK(as_user({.uid = 1000, .gid = 1}, [&] { return try_open(tree / "f", O_RDONLY); }) == EACCES);
    must_run({"setfacl", "-m", "u:100007:rwx", tree / "f"});
    CHECK(named(tree.upper + "/f").find("user:7:rwx") != std::string::npos);
    CHECK(named(tree.upper + "/f").find("user:1000:r--") != std::string::npos);
    CHECK(named(tree / "f").find("user:100007:rwx") != std::string::npos);

    const std::string shown = get_xattr(tree / "cap", "security.capability");
    CHECK(shown.size() == 24);  // of the namespace whose root is 100000
    const std::string root{'\xa0', '\x86', '\x01', '\0'};
    CHECK(shown.substr(20) == root);
    OK(::removexattr((tree / "cap").c_str(), "security.capability"));
    set_xattr(tree / "cap", "security.capability", shown);
    CHECK(get_xattr(tree.upper + "/cap", "security.capability").size() == 20);
}

TEST_CASE("squash: one owner is shown, and changes of it are swallowed") {
    Layers tree;
    write_as(tree.lower + "/f", 5, 6, 0600);
    SUBCASE("to root") {
        tree.mount("squash_to_root");
        CHECK(look(tree / "f") == "0:0 100600");
        OK(::chown((tree / "f").c_str(), 7, 8));
        CHECK(look(tree / "f") == "0:0 100600");
    }
    SUBCASE("to a user") {
        tree.mount("squash_to_uid=1000,squash_to_gid=1001");
        CHECK(look(tree / "f") == "1000:1001 100600");
        CHECK(as_user({.uid = 1000, .gid = 1001}, [&] { return try_open(tree / "f", O_RDWR); }) == 0);
        OK(::chown((tree / "f").c_str(), 7, 8));
        CHECK(look(tree / "f") == "1000:1001 100600");
        CHECK(as_user({.uid = 2000, .gid = 2000}, [&] { return try_open(tree / "f", O_RDONLY); }) == EACCES);
    }
    SUBCASE("the group alone") {
        tree.mount("squash_to_gid=9");
        CHECK(look(tree / "f") == "5:9 100600");
    }
}

TEST_CASE("stat override: a lower is what its attributes say, and a copy into a plain upper as well") {
    need_privilege("devices");
    for (const char* name : {kPrivileged, kContainers, kOlder}) {
        CAPTURE(name);
        Layers tree;
        set_xattr(tree.lower, name, "0:0:0755:dir");
        write_as(tree.lower + "/f", 0, 0, 0755);
        set_xattr(tree.lower + "/f", name, "1000:1001:0640:file");
        write_as(tree.lower + "/none", 3, 4, 0700);
        write_as(tree.lower + "/bad", 0, 0, 0777);
        set_xattr(tree.lower + "/bad", name, "nonsense");
        write_file(tree.lower + "/null", "");
        set_xattr(tree.lower + "/null", name, "0:0:0666:char-1-3");
        write_file(tree.lower + "/pipe", "");
        set_xattr(tree.lower + "/pipe", name, "7:8:0600:pipe");
        write_file(tree.lower + "/link", "f");
        set_xattr(tree.lower + "/link", name, "7:8:0777:symlink");
        make_dirs(tree.lower + "/d");
        set_xattr(tree.lower + "/d", name, "1000:1001:1770:dir");
        // The other layer has no such attributes in use.
        write_as(tree.lower2 + "/plain", 1, 2, 0644);
        set_xattr(tree.lower2 + "/plain", name, "9:9:0000:file");
        tree.mount();
        CHECK(look(tree / "f") == "1000:1001 100640");
        CHECK(look(tree / "none") == "3:4 100700");
        CHECK(look(tree / "bad") == "0:0 100000");
        CHECK(look(tree / "null") == "0:0 20666 1:3");
        CHECK(look(tree / "pipe") == "7:8 10600");
        CHECK(look(tree / "d") == "1000:1001 41770");
        CHECK(look(tree / "plain") == "1:2 100644");
        CHECK(look(tree / "link") == "7:8 120777");
        CHECK(link_target(tree / "link") == "f");
        CHECK(all_xattrs(tree / "f").empty());
        CHECK(as_user({.uid = 2000, .gid = 2000}, [&] { return try_open(tree / "f", O_RDONLY); }) == EACCES);
        CHECK(as_user({.uid = 1000, .gid = 2000}, [&] { return try_open(tree / "f", O_RDWR); }) == 0);
        const Stats before = tree.stats();
        CHECK(read_file(tree / "null") == "");  // the device, not the file

        for (const char* copied : {"f", "null", "pipe", "d", "link"}) {
            CAPTURE(copied);
            const std::string was = look(tree / copied);
            OK(::lchown((tree / copied).c_str(), lstat_of(tree / copied).st_uid, 77));
            std::string is = look(tree.upper + "/" + copied);
            CHECK(is == look(tree / copied));
            CHECK(is.substr(is.find(' ')) == was.substr(was.find(' ')));
            CHECK(raw_xattr(tree.upper + "/" + copied, name) == "(none)");
        }
        CHECK(link_target(tree.upper + "/link") == "f");
        CHECK(read_file(tree / "f") == "content");
    }
}

TEST_CASE("stat override: an upper that keeps owners in attributes, as containers-storage has it") {
    need_privilege("devices");
    Layers tree;
    open_upper(tree);
    const auto at = [&](const std::string& name) { return raw_xattr(tree.upper + "/" + name, kContainers); };
    set_xattr(tree.upper, kContainers, "0:0:0777:dir");
    write_as(tree.lower + "/f", 1000, 1001, 04755);
    OK(::mknod((tree.lower + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)));
    OK(::chmod((tree.lower + "/null").c_str(), 0666));
    OK(::mkfifo((tree.lower + "/pipe").c_str(), 0600));
    OK(::symlink("f", (tree.lower + "/link").c_str()));
    OK(::lchown((tree.lower + "/link").c_str(), 5, 6));
    make_dirs(tree.lower + "/d");
    OK(::chown((tree.lower + "/d").c_str(), 1000, 1001));
    OK(::chmod((tree.lower + "/d").c_str(), 0700));
    set_xattr(tree.lower + "/f", "security.capability", std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
    set_xattr(tree.lower + "/f", "user.mine", "1");
    tree.mount("xattr_permissions=2");
    CHECK(look(tree / "").substr(0, 10) == "0:0 40777");

    SUBCASE("copies") {
        OK(::utimensat(AT_FDCWD, (tree / "f").c_str(), nullptr, 0));
        CHECK(look(tree / "f") == "1000:1001 104755");
        CHECK(look(tree.upper + "/f") == "0:0 100755");
        CHECK(at("f") == "1000:1001:4755:file");
        CHECK(raw_xattr(tree.upper + "/f", "user.containers.override_security.capability").size() == 20);
        CHECK(raw_xattr(tree.upper + "/f", "security.capability") == "(none)");
        CHECK(get_xattr(tree / "f", "security.capability").size() == 20);
        CHECK(get_xattr(tree / "f", "user.mine") == "1");
        CHECK(get_xattr(tree / "f", kContainers) == "(none)");
        CHECK(all_xattrs(tree / "f").size() == 2);
        write_file(tree / "d/new", "");
        CHECK(look(tree / "d") == "1000:1001 40700");
        CHECK(look(tree.upper + "/d") == "0:0 40755");
        CHECK(at("d") == "1000:1001:0700:dir");
        OK(::chown((tree / "null").c_str(), 3, 4));
        CHECK(look(tree / "null") == "3:4 20666 1:3");
        CHECK(look(tree.upper + "/null") == "0:0 100644");
        CHECK(at("null") == "3:4:0666:char-1-3");
        CHECK(try_open(tree / "null", O_WRONLY) == 0);
        OK(::chmod((tree / "pipe").c_str(), 0620));
        CHECK(look(tree / "pipe") == "0:0 10620");
        CHECK(at("pipe") == "0:0:0620:pipe");
        OK(::lchown((tree / "link").c_str(), 7, 8));
        CHECK(look(tree / "link") == "7:8 120777");
        CHECK(link_target(tree / "link") == "f");
    }
    SUBCASE("chown and chmod") {
        write_file(tree / "n", "x");
        OK(::chmod((tree / "n").c_str(), 06711));
        CHECK(look(tree / "n") == "0:0 106711");
        CHECK(at("n") == "0:0:6711:file");
        CHECK(look(tree.upper + "/n") == "0:0 100644");
        OK(::chown((tree / "n").c_str(), 1000, 1001));
        CHECK(look(tree / "n") == "1000:1001 100711");  // a new owner takes them away
        OK(::chown((tree / "n").c_str(), static_cast<uid_t>(-1), 9));
        CHECK(at("n") == "1000:9:0711:file");
        OK(::chmod((tree / "n").c_str(), 04755));
        CHECK(as_user({.uid = 1000, .gid = 9}, [&] {
                  int fd = ::open((tree / "n").c_str(), O_WRONLY | O_CLOEXEC);
                  return fd < 0 ? errno : ::write(fd, "y", 1) == 1 ? 0 : errno;
              }) == 0);
        CHECK(look(tree / "n") == "1000:9 100755");
        CHECK(at("n") == "1000:9:0755:file");
        // Truncation takes them as well.
        OK(::chmod((tree / "n").c_str(), 04755));
        CHECK(as_user({.uid = 1000, .gid = 9}, [&] { return try_open(tree / "n", O_WRONLY | O_TRUNC); }) == 0);
        CHECK(look(tree / "n") == "1000:9 100755");
    }
    SUBCASE("made by another user") {
        OK(::mkdir((tree / "t").c_str(), 0755));
        OK(::chown((tree / "t").c_str(), 0, 50));
        OK(::chmod((tree / "t").c_str(), 03777));
        CHECK(as_user({.uid = 1000, .gid = 1001}, [&] {
                  ::umask(027);
                  if (::mkdir((tree / "t/d").c_str(), 0777) != 0) return errno;
                  if (::mkfifo((tree / "t/p").c_str(), 0666) != 0) return errno;
                  if (::symlink("x", (tree / "t/l").c_str()) != 0) return errno;
                  if (::mknod((tree / "t/s").c_str(), S_IFSOCK | 0666, 0) != 0) return errno;
                  int tmp = ::open((tree / "t").c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
                  if (tmp < 0) return errno;
                  const std::string self = "/proc/self/fd/" + std::to_string(tmp);
                  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (tree / "t/tmp").c_str(), AT_SYMLINK_FOLLOW) != 0)
                      return errno;
                  return try_open(tree / "t/f", O_CREAT | O_WRONLY, 0666);
              }) == 0);
        CHECK(at("t/d") == "1000:50:2750:dir");
        CHECK(at("t/p") == "1000:50:0640:pipe");
        CHECK(at("t/s") == "1000:50:0640:socket");
        CHECK(at("t/f") == "1000:50:0640:file");
        CHECK(at("t/tmp") == "1000:50:0640:file");
        CHECK(look(tree / "t/d") == "1000:50 42750");
        CHECK(look(tree / "t/p") == "1000:50 10640");
        CHECK(look(tree / "t/tmp") == "1000:50 100640");
        CHECK(look(tree.upper + "/t/f") == "0:0 100644");
        CHECK(lstat_of(tree / "t/l").st_uid == 1000);
        // The sticky bit that is shown counts.
        CHECK(as_user({.uid = 2000, .gid = 2}, [&] { return ::unlink((tree / "t/f").c_str()) == 0 ? 0 : errno; }) ==
              EPERM);
        CHECK(as_user({.uid = 1000, .gid = 2}, [&] { return ::unlink((tree / "t/f").c_str()) == 0 ? 0 : errno; }) == 0);
    }
    SUBCASE("devices, also in the place of what was removed") {
        OK(::mknod((tree / "zero").c_str(), S_IFCHR | 0660, makedev(1, 5)));
        OK(::mknod((tree / "disk").c_str(), S_IFBLK | 0600, makedev(8, 17)));
        OK(::unlink((tree / "null").c_str()));
        OK(::mknod((tree / "null").c_str(), S_IFBLK | 0600, makedev(7, 9)));
        CHECK(at("zero") == "0:0:0640:char-1-5");
        CHECK(at("disk") == "0:0:0600:block-8-17");
        CHECK(at("null") == "0:0:0600:block-7-9");
        CHECK(look(tree / "zero") == "0:0 20640 1:5");
        CHECK(look(tree / "null") == "0:0 60600 7:9");
        CHECK(S_ISREG(lstat_of(tree.upper + "/disk").st_mode));
        CHECK(read_fd(open_file(tree / "zero", O_RDONLY).get(), 0, 4) == std::string(4, '\0'));
        OK(::rename((tree / "zero").c_str(), (tree / "d/zero").c_str()));
        OK(::link((tree / "d/zero").c_str(), (tree / "again").c_str()));
        CHECK(look(tree / "again") == "0:0 20640 1:5");
        OK(::unlink((tree / "again").c_str()));
        const auto names = must_run({"find", tree.mnt(), "-type", "b"}).out;
        CHECK(names.find("disk") != std::string::npos);
    }
    SUBCASE("ACLs keep what is shown in step") {
        if (!have_tool("setfacl")) skip("setfacl is needed");
        write_file(tree / "a", "", 0640);
        OK(::chmod((tree / "a").c_str(), 0640));
        must_run({"setfacl", "-m", "u:1000:rw", tree / "a"});
        CHECK(look(tree / "a") == "0:0 100660");
        CHECK(at("a") == "0:0:0660:file");
        OK(::chmod((tree / "a").c_str(), 0624));  // the mask
        CHECK(as_user({.uid = 1000, .gid = 1}, [&] { return try_open(tree / "a", O_RDONLY); }) == EACCES);
        must_run({"setfacl", "-b", tree / "a"});
        CHECK(look(tree / "a") == "0:0 100604");
        OK(::mkdir((tree / "inherit").c_str(), 0755));
        must_run({"setfacl", "-d", "-m", "u:1000:rwx,o::-", tree / "inherit"});
        open_file(tree / "inherit/x", O_CREAT | O_WRONLY, 0666);
        CHECK(look(tree / "inherit/x") == "0:0 100660");
        CHECK(as_user({.uid = 1000, .gid = 1}, [&] { return try_open(tree / "inherit/x", O_RDWR); }) == 0);
        CHECK(as_user({.uid = 2000, .gid = 1}, [&] { return try_open(tree / "inherit/x", O_RDONLY); }) == EACCES);
    }
    SUBCASE("attributes that would be taken for ours are kept apart") {
        write_file(tree / "n", "");
        set_xattr(tree / "n", kContainers, "0:0:0000:file");
        CHECK(get_xattr(tree / "n", kContainers) == "0:0:0000:file");
        CHECK(look(tree / "n") == "0:0 100644");
        CHECK(raw_xattr(tree.upper + "/n", "user.containers.override_user.containers.override_stat") ==
              "0:0:0000:file");
        OK(::removexattr((tree / "n").c_str(), kContainers));
        CHECK(all_xattrs(tree / "n").empty());
        set_xattr(tree / "n", "security.test", "v");
        CHECK(raw_xattr(tree.upper + "/n", "user.containers.override_security.test") == "v");
        CHECK(all_xattrs(tree / "n") == std::map<std::string, std::string>{{"security.test", "v"}});
    }
    SUBCASE("after a new mount it is the same, without being asked for") {
        OK(::mknod((tree / "zero").c_str(), S_IFCHR | 0600, makedev(1, 5)));
        OK(::chown((tree / "f").c_str(), 12, 13));
        tree.unmount();
        tree.mount();
        CHECK(look(tree / "zero") == "0:0 20600 1:5");
        CHECK(look(tree / "f") == "12:13 100755");
        OK(::chown((tree / "f").c_str(), 14, 15));
        CHECK(at("f") == "14:15:0755:file");
    }
}

TEST_CASE("stat override: the root of a new upper says how it keeps owners") {
    Layers tree;
    SUBCASE("as the layer below") {
        set_xattr(tree.lower2, kContainers, "1000:1001:0711:dir");
        tree.mount("xattr_permissions=2");
        CHECK(raw_xattr(tree.upper, kContainers) == "1000:1001:0711:dir");
        CHECK(look(tree.mnt()) == "1000:1001 40711");
    }
    SUBCASE("or of root's") {
        tree.mount("xattr_permissions=2");
        CHECK(raw_xattr(tree.upper, kContainers) == "0:0:0555");
        CHECK(look(tree.mnt()) == "0:0 40555");
    }
    SUBCASE("one of older mounts stays as it is") {
        set_xattr(tree.upper, kOlder, "0:0:0755");
        make_dirs(tree.lower + "/d");
        OK(::chown((tree.lower + "/d").c_str(), 0, 50));
        OK(::chmod((tree.lower + "/d").c_str(), 02777));
        write_file(tree.lower + "/d/gone", "");
        tree.mount("xattr_permissions=2");
        // In the place of what was removed the directory's group is handed on as well.
        OK(::unlink((tree / "d/gone").c_str()));
        CHECK(as_user({.uid = 1000, .gid = 1001},
                      [&] { return try_open(tree / "d/gone", O_CREAT | O_WRONLY, 0644); }) == 0);
        CHECK(look(tree / "d/gone") == "1000:50 100644");
        CHECK(look(tree / "d") == "0:50 42777");
        write_file(tree / "f", "");
        CHECK(raw_xattr(tree.upper + "/f", kOlder) == "0:0:0644:file");
        CHECK(raw_xattr(tree.upper, kContainers) == "(none)");
    }
    SUBCASE("privileged") {
        tree.mount("xattr_permissions=1");
        write_file(tree / "f", "");
        CHECK(raw_xattr(tree.upper + "/f", kPrivileged) == "0:0:0644:file");
        FAILS(EPERM, ::setxattr((tree / "f").c_str(), kPrivileged, "0:0:0777", 8, 0));
        CHECK(get_xattr(tree / "f", kPrivileged) == "(none)");
        CHECK(all_xattrs(tree / "f").empty());
    }
}

TEST_CASE("stat override: with mapped ids the attribute has those of the layers") {
    Layers tree;
    open_upper(tree);
    set_xattr(tree.upper, kContainers, "0:0:0777:dir");
    write_as(tree.lower + "/f", 1000, 1001, 0600);
    tree.mount(std::string("xattr_permissions=2,") + kMaps);
    OK(::chmod((tree / "f").c_str(), 0640));
    CHECK(look(tree / "f") == "101000:201001 100640");
    CHECK(raw_xattr(tree.upper + "/f", kContainers) == "1000:1001:0640:file");
    CHECK(as_user({.uid = 101000, .gid = 201001}, [&] { return try_open(tree / "n", O_CREAT | O_WRONLY, 0600); }) == 0);
    CHECK(look(tree / "n") == "101000:201001 100600");
    CHECK(raw_xattr(tree.upper + "/n", kContainers) == "1000:1001:0600:file");
}

TEST_CASE("stat override: data still passes through") {
    Layers tree;
    tree.mount("xattr_permissions=2");
    write_file(tree / "f", pattern(100000));
    CHECK(read_file(tree / "f") == pattern(100000));
    CHECK(look(tree / "f") == "0:0 100644");
}

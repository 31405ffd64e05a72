// What mergerfs got wrong, by the numbers under which it was written down, as cases that have to pass here. Each says
// what the fault was. PLYFS_TEST_ANCHOR=/usr/bin/mergerfs mounts with that program instead, to see that a case finds
// what it is meant to find.
//
// The others are where what they are about is: 1 and 2, descriptors and names of a file that moves, in move_test; 5, a
// directory over one that is not empty, in pool_rename_test; 10, daemons that stay, in lifecycle_test; 12, ACLs, in
// options_test; 15, what else Linux has, in the basics; 17, copies that are deleted, in pool_copies_test.
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"
#include "support/tree_digest.h"

using namespace plyfs::test;

namespace {

// Both programs know these.
const std::string kPlain = "category.create=ff,minfreespace=0";

struct Ground {
    explicit Ground(const std::string& kind = "ext4")
        : a(kind, scratch.path(), "a", 64), b(kind, scratch.path(), "b", 64), mnt(scratch.dir("mnt")) {}
    std::string branches(const std::string& mode_of_b = "RW") const {
        return a.path() + ":" + b.path() + "=" + mode_of_b;
    }
    std::string operator/(const std::string& name) const { return mnt + "/" + name; }
    Scratch scratch;
    LoopFs a, b;
    std::string mnt;
};

// What the daemon reads and writes, not the kernel.
std::string by_the_daemon() {
    return kPlain + (is_standin() ? ",cache.files=partial" : ",passthrough=off");
}

int err_in_child(const std::function<long()>& call, int seconds = 15) {
    return in_child([&] { return call() < 0 ? errno : 0; }, seconds);
}

}  // namespace

TEST_CASE("pool fault 3: what lies on a read-only branch is changed by opening, replacing and deleting it") {
    Ground g;
    const std::string old = pattern(30000, 1);
    const std::vector<std::string> names = {"write",     "append",  "emptied", "truncated", "replaced",
                                            "exchanged", "removed", "linked",  "mode",      "xattr",
                                            "renamed",   "mapped",  "locked"};
    make_dirs(g.b / "d/sub");
    for (const std::string& name : names) write_file(g.b / name, old);
    write_file(g.b / "d/f", old);
    const TreeDigest before = TreeDigest::of(g.b.path());
    Mount mount(kPlain, g.branches("RO"), g.mnt);
    write_fd(open_file(g / "write", O_RDWR).get(), "new", 0);
    OK(::write(open_file(g / "append", O_WRONLY | O_APPEND).get(), "new", 3));
    open_file(g / "emptied", O_WRONLY | O_TRUNC);
    OK(::truncate((g / "truncated").c_str(), 7));
    write_file(g / "fresh", "new");
    OK(::rename((g / "fresh").c_str(), (g / "replaced").c_str()));
    write_file(g / "fresh", "new");
    OK(::renameat2(AT_FDCWD, (g / "fresh").c_str(), AT_FDCWD, (g / "exchanged").c_str(), RENAME_EXCHANGE));
    OK(::unlink((g / "removed").c_str()));
    OK(::link((g / "linked").c_str(), (g / "second").c_str()));
    OK(::chmod((g / "mode").c_str(), 0600));
    OK(::setxattr((g / "xattr").c_str(), "user.note", "x", 1, 0));
    OK(::rename((g / "renamed").c_str(), (g / "d/renamed").c_str()));
    {
        UniqueFd fd = open_file(g / "mapped", O_RDWR);
        void* map = ::mmap(nullptr, old.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        REQUIRE(map != MAP_FAILED);
        static_cast<char*>(map)[100] = '!';
        OK(::munmap(map, old.size()));
    }
    OK(::flock(open_file(g / "locked", O_RDWR).get(), LOCK_EX));
    must_run({"rm", "-r", g / "d/sub"});
    OK(::unlink((g / "d/f").c_str()));
    CHECK(read_file(g / "write") == "new" + old.substr(3));
    CHECK(read_file(g / "append") == old + "new");
    CHECK(read_file(g / "emptied").empty());
    CHECK(read_file(g / "truncated") == old.substr(0, 7));
    for (std::string name : {"replaced", "exchanged"}) CHECK(read_file(g / name) == "new");
    CHECK(read_file(g / "fresh") == old);
    CHECK_FALSE(exists(g / "removed"));
    CHECK(list_dir(g / "d") == std::vector<std::string>{"renamed"});
    mount.unmount();
    CHECK(before.difference(TreeDigest::of(g.b.path())) == "");
}

TEST_CASE("pool fault 4: fsync of a directory does nothing, and says that it did") {
    Ground g;
    need_privilege("a disk that fails");
    Mount mount(kPlain, g.branches(), g.mnt);
    make_dirs(g / "d");
    UniqueFd dir = open_file(g / "d", O_RDONLY | O_DIRECTORY);
    OK(::fsync(dir.get()));
    write_file(g / "d/f", "x");
    g.a.shut_down();
    FAILS(EIO, ::fsync(dir.get()));
}

TEST_CASE("pool fault 6: direct I/O fails where the daemon serves it") {
    Ground g;
    Mount mount(by_the_daemon(), g.branches(), g.mnt);
    constexpr std::size_t kSize = 1 << 16;
    std::unique_ptr<char, decltype(&std::free)> buffer(static_cast<char*>(std::aligned_alloc(4096, kSize)), &std::free);
    const std::string content = pattern(kSize, 5);
    content.copy(buffer.get(), kSize);
    UniqueFd fd = open_file(g / "f", O_CREAT | O_RDWR | O_DIRECT);
    CHECK(OK(::pwrite(fd.get(), buffer.get(), kSize, 0)) == kSize);
    CHECK(OK(::pwrite(fd.get(), buffer.get(), 4096, kSize)) == 4096);
    std::fill_n(buffer.get(), kSize, '\0');
    CHECK(OK(::pread(fd.get(), buffer.get(), kSize, 0)) == kSize);
    CHECK((content == std::string_view(buffer.get(), kSize)));
    CHECK((read_file(g.a / "f") == content + content.substr(0, 4096)));
}

TEST_CASE("pool fault 7: names of one file have caches, locks and counts of their own") {
    for (const std::string& options : {kPlain, by_the_daemon()}) {
        CAPTURE(options);
        Ground g;
        Mount mount(options, g.branches(), g.mnt);
        const std::string old = pattern(20000, 1);
        write_file(g / "one", old);
        OK(::link((g / "one").c_str(), (g / "two").c_str()));
        UniqueFd one = open_file(g / "one", O_RDWR), two = open_file(g / "two", O_RDWR);
        CHECK(read_fd(two.get()) == old);
        write_fd(one.get(), "changed", 5000);
        std::string wanted = old;
        wanted.replace(5000, 7, "changed");
        CHECK(read_fd(two.get()) == wanted);
        CHECK(read_file(g / "two") == wanted);
        OK(::ftruncate(one.get(), 30));
        CHECK(stat_of(g / "two").st_size == 30);
        OK(::flock(one.get(), LOCK_EX));
        FAILS(EWOULDBLOCK, ::flock(two.get(), LOCK_EX | LOCK_NB));
        CHECK(stat_of(g / "one").st_ino == stat_of(g / "two").st_ino);
        CHECK(stat_of(g / "two").st_nlink == 2);
        OK(::unlink((g / "one").c_str()));
        CHECK(stat_of(g / "two").st_nlink == 1);
    }
}

TEST_CASE("pool fault 8: a policy that goes up to find room goes on for ever when there is none") {
    for (std::string policy : {"mspmfs", "msplfs", "msplus", "msppfrd"}) {
        CAPTURE(policy);
        Ground g("tmpfs");
        make_dirs(g.a / "d/e");
        make_dirs(g.b / "d");
        Mount mount("minfreespace=10G,category.create=" + policy, g.branches(), g.mnt);
        for (std::string dir : {"", "d/", "d/e/"}) {
            const std::string name = g / (dir + "new");
            CHECK(err_in_child([&] { return ::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644); }) == ENOSPC);
            CHECK(err_in_child([&] { return ::mkdir(name.c_str(), 0755); }) == ENOSPC);
            CHECK(err_in_child([&] { return ::symlink("x", name.c_str()); }) == ENOSPC);
        }
        CHECK(list_dir(g / "d") == std::vector<std::string>{"e"});
    }
}

TEST_CASE("pool fault 9: whoever waits for one branch keeps those waiting who want another") {
    Ground g;
    need_privilege("a disk that hangs");
    // One thread serves a ring.
    if (!is_standin() && wanted_transport() == "io_uring")
        skip("whoever waits on a ring keeps its CPU's others waiting");
    constexpr int kStuck = 24;
    for (int i = 0; i < kStuck; ++i) write_file(g.b / "f" + std::to_string(i), "x");
    write_file(g.a / "on_a", "healthy");
    Mount mount(kPlain, g.branches(), g.mnt);
    for (int i = 0; i < kStuck; ++i) stat_of(g / "f" + std::to_string(i));
    std::vector<std::unique_ptr<Child>> stuck;
    {
        const Frozen hangs(g.b);
        for (int i = 0; i < kStuck; ++i) {
            const std::string name = g / "f" + std::to_string(i);
            stuck.push_back(std::make_unique<Child>([name] { return ::chmod(name.c_str(), 0600) == 0 ? 0 : errno; }));
        }
        nap(500);
        const auto work = [&] {
            for (int i = 0; i < 20; ++i) {
                const std::string name = g / ("new" + std::to_string(i));
                struct stat st;
                if (::stat(name.c_str(), &st) == 0 || errno != ENOENT) return EEXIST;
                const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
                if (fd < 0 || ::write(fd, "x", 1) != 1 || ::close(fd) != 0) return errno;
                if (::unlink(name.c_str()) != 0) return errno;
            }
            const int fd = ::open((g / "on_a").c_str(), O_RDONLY | O_CLOEXEC);
            char byte;
            return fd >= 0 && ::pread(fd, &byte, 1, 0) == 1 ? 0 : errno;
        };
        CHECK(in_child(work, 8) == 0);
    }
    for (auto& child : stuck) CHECK(child->wait() == 0);
    for (int i = 0; i < kStuck; ++i) CHECK((stat_of(g / "f" + std::to_string(i)).st_mode & 0777) == 0600);
}

TEST_CASE("pool fault 11: a file is open for reading and for writing at once, and one of the two fails") {
    for (std::string mode : {"ro", "wo", "rw", "off"}) {
        CAPTURE(mode);
        Ground g("tmpfs");
        Mount mount(kPlain + ",passthrough.io=" + mode, g.branches(), g.mnt);
        write_file(g / "f", pattern(100000));
        for (const auto& [first, second] : {std::pair{O_RDONLY, O_WRONLY}, {O_WRONLY, O_RDONLY}, {O_RDONLY, O_RDWR}}) {
            UniqueFd held = open_file(g / "f", first), other = open_file(g / "f", second);
            const UniqueFd& writer = first == O_RDONLY ? other : held;
            const UniqueFd& reader = first == O_RDONLY ? held : other;
            write_fd(writer.get(), "written", 50000);
            CHECK(read_fd(reader.get(), 50000, 7) == "written");
            OK(::ftruncate(writer.get(), 100000));
        }
    }
}

TEST_CASE("pool fault 13: a symbolic link on one branch leads whoever opens a path out of it") {
    Ground g("tmpfs");
    const std::string secret = g.scratch.dir("secret");
    write_file(secret + "/f", "secret");
    make_dirs(secret + "/sub");
    make_dirs(g.a / "d");
    write_file(g.a / "d/own", "own");
    OK(::symlink(secret.c_str(), (g.b / "d").c_str()));
    OK(::chmod(secret.c_str(), 0700));
    const TreeDigest before = TreeDigest::of(secret);
    Mount mount(kPlain, g.branches(), g.mnt);
    CHECK(list_dir(g / "d") == std::vector<std::string>{"own"});
    CHECK(try_open(g / "d/f", O_RDONLY) == ENOENT);
    CHECK(as_user({65534, 65534, {}}, [&] { return ::open((g / "d/f").c_str(), O_RDONLY) < 0 ? errno : 0; }) == ENOENT);
    FAILS(ENOENT, ::unlink((g / "d/f").c_str()));
    FAILS(ENOENT, ::rmdir((g / "d/sub").c_str()));
    FAILS(ENOENT, ::chmod((g / "d/f").c_str(), 0777));
    write_file(g / "d/new", "x");
    CHECK(exists(g.a / "d/new"));
    must_run({"rm", "-r", g / "d"});
    CHECK(before.difference(TreeDigest::of(secret)) == "");
}

TEST_CASE("pool fault 14: of a directory on several branches only the first one's mode counts") {
    Ground g("tmpfs");
    const auto mode_of = [](const std::string& path) { return stat_of(path).st_mode & 07777; };
    const auto reads = [&](const std::string& name) {
        return as_user({65534, 65534, {}}, [&] { return ::open((g / name).c_str(), O_RDONLY) < 0 ? errno : 0; });
    };
    for (const auto& [first, second] : {std::pair{0755, 0700}, {0700, 0755}}) {
        CAPTURE(first);
        const std::string d = "d" + std::to_string(first);
        make_dirs(g.a / d);
        make_dirs(g.b / d);
        write_file(g.b / d + "/secret", "secret");
        OK(::chmod((g.a / d).c_str(), static_cast<mode_t>(first)));
        OK(::chmod((g.b / d).c_str(), static_cast<mode_t>(second)));
        Mount mount(kPlain + ",cache.attr=0,cache.entry=0", g.branches(), g.mnt);
        CHECK(reads(d + "/secret") == EACCES);
        CHECK(reads(d) == EACCES);
        // Also where nothing but attributes is asked for, and of what is known.
        for (int round = 0; round < 3; ++round) CHECK(mode_of(g / d) == 0700);
        // Who opens it opens all of it.
        OK(::chmod((g / d).c_str(), 0755));
        for (const std::string& path : {g / d, g.a / d, g.b / d}) CHECK(mode_of(path) == 0755);
        CHECK(reads(d + "/secret") == 0);
        OK(::chmod((g.b / d).c_str(), 01711));
        CHECK(mode_of(g / d) == 01711);
        CHECK(reads(d) == EACCES);
        CHECK(reads(d + "/secret") == 0);
    }
    // A class is narrowed by the same class: what another owner may do is no answer. A branch that is only read has no
    // say, as a layer has none.
    make_dirs(g.a / "others");
    make_dirs(g.b / "others");
    OK(::chmod((g.a / "others").c_str(), 0775));
    OK(::chmod((g.b / "others").c_str(), 0500));
    OK(::chown((g.b / "others").c_str(), 1000, 1000));
    {
        Mount mount(kPlain, g.branches(), g.mnt);
        CHECK(mode_of(g / "others") == 0770);
    }
    Mount mount(kPlain, g.branches("RO"), g.mnt);
    CHECK(mode_of(g / "others") == 0775);
}

TEST_CASE("pool fault 16: the kernel's overlayfs takes no pool for its changes") {
    need_privilege("overlayfs with trusted attributes");
    for (std::string policy : {"ff", "rand"}) {
        CAPTURE(policy);
        Ground g;
        const std::string lower = g.scratch.dir("lower"), top = g.scratch.dir("top");
        make_dirs(lower + "/d");
        make_dirs(lower + "/gone/sub");
        for (std::string name : {"gone/1", "gone/2", "gone/sub/3", "changed", "removed", "d/moved", "d/linked"})
            write_file(lower + "/" + name, "old");
        const TreeDigest before = TreeDigest::of(lower);
        const std::string content = pattern(200000, 3);
        const auto overlaid = [&] {
            return Mounted("overlay", top, "overlay", 0,
                           "lowerdir=" + lower + ",upperdir=" + (g / "up") + ",workdir=" + (g / "wk"));
        };
        const auto check = [&] {
            CHECK(read_file(top + "/new") == content);
            CHECK(read_file(top + "/changed") == "old+");
            for (std::string name : {"removed", "gone"}) CHECK_FALSE(exists(top + "/" + name));
            CHECK(list_dir(top + "/d") == std::vector<std::string>{"linked", "second"});
            CHECK(stat_of(top + "/d/second").st_nlink == 2);
            CHECK(read_file(top + "/moved") == "old");
            CHECK(list_dir(top + "/made").empty());
        };
        {
            Mount mount("minfreespace=0,category.create=" + policy, g.branches(), g.mnt);
            for (std::string name : {"up", "wk"}) OK(::mkdir((g / name).c_str(), 0755));
            {
                const Mounted overlay = overlaid();
                write_file(top + "/new", content);
                write_fd(open_file(top + "/changed", O_WRONLY | O_APPEND).get(), "+", 3);
                OK(::unlink((top + "/removed").c_str()));
                OK(::rename((top + "/d/moved").c_str(), (top + "/moved").c_str()));
                OK(::link((top + "/d/linked").c_str(), (top + "/d/second").c_str()));
                OK(::mkdir((top + "/made").c_str(), 0755));
                write_file(top + "/made/gone", "x");
                must_run({"rm", "-r", top + "/made", top + "/gone"});
                OK(::mkdir((top + "/made").c_str(), 0755));
                check();
            }
            const Mounted again = overlaid();
            check();
        }
        Mount mount("minfreespace=0,category.create=" + policy, g.branches(), g.mnt);
        const Mounted again = overlaid();
        check();
        CHECK(before.difference(TreeDigest::of(lower)) == "");
    }
}

// The options of mergerfs: lines as people have them in fstab mount as they are, and what options say is so.
#include <dirent.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

using namespace plyfs::test;

namespace {

// On file systems of their own: some lines wait for branches that are mounted, or set what the devices have.
struct Ground {
    Ground()
        : a_fs("tmpfs", scratch.path(), "a", 16),
          b_fs("tmpfs", scratch.path(), "b", 32),
          mnt(scratch.dir("mnt")),
          branches(a_fs.path() + ":" + b_fs.path()) {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("priorities, devices to set and file systems of its own");
        write_file(a_fs / "on_a", "a");
        write_file(b_fs / "on_b", "b");
    }
    Ran start(const std::string& options) {
        return run_plyfs({"-o", "transport=" + wanted_transport() + "," + options, branches, mnt});
    }
    Scratch scratch;
    LoopFs a_fs, b_fs;
    std::string mnt, branches;
};

int xattr_errno(const std::string& path, const std::string& name) {
    char value[4096];
    return ::getxattr(path.c_str(), name.c_str(), value, sizeof value) < 0 ? errno : 0;
}

struct Space {
    explicit Space(const std::string& path) {
        struct statvfs v {};
        OK(::statvfs(path.c_str(), &v));
        mib = v.f_blocks * v.f_frsize >> 20;
        available = v.f_bavail * v.f_frsize >> 20;
    }
    unsigned long mib, available;
};

}  // namespace

TEST_CASE("options: lines of mergerfs' fstabs mount as they are") {
    Ground g;
    for (const std::string line : {
             "defaults,nonempty,allow_other,use_ino,cache.files=off,moveonenospc=true,dropcacheonclose=true,"
             "minfreespace=200G,fsname=mergerfs",
             "cache.files=off,category.create=pfrd,func.getattr=newest,dropcacheonclose=false",
             "cache.files=partial,dropcacheonclose=true,category.create=mfs",
             "cache.files=auto-full,dropcacheonclose=true,category.create=mfs,nofail,x-systemd.mount-timeout=300",
             "direct_io,defaults,allow_other,minfreespace=50G,fsname=mergerfs",
             "allow_other,direct_io,use_ino,category.create=lfs,moveonenospc=true,minfreespace=20G,func.getattr=newest,"
             "fsname=mergerfsPool",
             "noforget,inodecalc=path-hash,use_ino,cache.files=partial,dropcacheonclose=true,category.create=epmfs,"
             "security_capability=false,xattr=nosys",
             "rw,async_read=false,use_ino,allow_other,func.getattr=newest,category.action=all,category.create=ff,"
             "cache.files=auto-full",
             "sync_read,auto_cache,dropcacheonclose=true,use_ino,allow_other,func.getattr=newest,category.action=all,"
             "category.create=ff",
             "threads=8,cache.attr=30,cache.entry=30,cache.negative-entry=30,cache.readdir=true,cache.statfs=10,"
             "cache.symlinks=true,func.readdir=cosr:4",
             "passthrough.io=rw,cache.files=auto-full,passthrough.max-stack-depth=1,category.create=mspmfs,"
             "parallel-direct-writes=true",
             "read-thread-count=2,process-thread-count=0,process-thread-queue-depth=2,pin-threads=R1LP1L,"
             "scheduling-priority=-10,fuse-msg-size=4M,readahead=2048",
             "statfs=full,statfs-ignore=nc,posix_acl=true,cache.writeback=true,link_cow=true,symlinkify=false,"
             "follow-symlinks=never,cache.files=per-process,cache.files.process-names=rtorrent|qbittorrent-nox",
             "export-support=true,kernel-permissions-check=true,allow-idmap=true,handle-killpriv=true,"
             "handle-killpriv-v2=true,flush-on-close=opened-for-write,lazy-umount-mountpoint=true,proxy-ioprio=true,"
             "nfsopenhack=git",
             "_netdev,branches-mount-timeout=2,branches-mount-timeout-fail=true,nofail,x-systemd.requires=/mnt/disk1",
             "category.create=epmfs,category.search=ff,category.action=epall,func.mkdir=epall,ignorepponrename=true,"
             "link-exdev=passthrough,rename-exdev=passthrough,minfreespace=10G",
             "umask=002,uid=1000,gid=1000,hard_remove,atomic_o_trunc,big_writes,splice_move,splice_read,splice_write,"
             "kernel_cache,entry_timeout=5,attr_timeout=5,negative_timeout=5,gid-cache.expire-timeout=3600,"
             "gid-cache.remove-timeout=3600,auto_unmount",
         }) {
        CAPTURE(line);
        const Ran ran = g.start(line);
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        Mount mount = Mount::adopt(g.mnt);
        CHECK(list_dir(g.mnt) == std::vector<std::string>{"on_a", "on_b"});
        CHECK(read_file(mount / "on_a") == "a");
        CHECK(read_file(mount / "on_b") == "b");
        // What has no effect is said in a line of its own.
        std::istringstream lines(ran.err);
        for (std::string said; std::getline(lines, said);) {
            CAPTURE(said);
            if (said.find(": mounted on ") != std::string::npos) continue;
            // These disks are far smaller than those that the line was for.
            if (said.find("minfreespace") != std::string::npos) continue;
            CHECK(said.rfind("plyfs: option", 0) == 0);
            CHECK(said.find("has no effect") != std::string::npos);
        }
    }
}

TEST_CASE("options: a configuration of mergerfs' lines") {
    Ground g;
    write_file(g.scratch / "sub.conf", "minfreespace = 0\n");
    write_file(g.scratch / "pool.conf",
               "# mine\n\nbranches=" + g.branches +
                   "\ncategory.create=ff\ncache.files=off\nconfig=sub.conf\nuse_ino\nmount=" + g.mnt + "\n");
    const Ran ran = run_plyfs({"-o", "transport=" + wanted_transport() + ",config=" + (g.scratch / "pool.conf")});
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    Mount mount = Mount::adopt(g.mnt);
    write_file(mount / "new", "x");
    CHECK(exists(g.a_fs / "new"));
    write_file(g.scratch / "bad.conf", "branches=" + g.branches + "\ncategory.creat=ff\nconfig=bad.conf\n");
    const Ran bad = run_plyfs({"-o", "config=" + (g.scratch / "bad.conf"), g.mnt});
    CHECK(bad.code == 1);
    CHECK(bad.err.find("bad.conf:2: category.creat") != std::string::npos);
    CHECK(bad.err.find("did you mean 'category.create'") != std::string::npos);
    CHECK(bad.err.find("five deep") != std::string::npos);
}

TEST_CASE("options: what df sums up") {
    Ground g;
    make_dirs(g.a_fs / "only_a");
    const std::string ro = g.a_fs.path() + "=RO:" + g.b_fs.path();
    const std::string nc = g.a_fs.path() + "=NC:" + g.b_fs.path();
    const Space a(g.a_fs.path()), b(g.b_fs.path());
    const struct {
        std::string branches, options, path;
        unsigned long mib, available;
    } rows[] = {
        {g.branches, "", "", a.mib + b.mib, a.available + b.available},
        {ro, "", "", a.mib + b.mib, a.available + b.available},
        {ro, "statfs-ignore=none", "", a.mib + b.mib, a.available + b.available},
        {ro, "statfs-ignore=ro", "", a.mib + b.mib, b.available},
        {ro, "statfs-ignore=nc", "", a.mib + b.mib, a.available + b.available},
        {nc, "statfs-ignore=ro", "", a.mib + b.mib, b.available},
        {nc, "statfs-ignore=nc", "", a.mib + b.mib, b.available},
        {g.branches, "statfs=full", "/only_a", a.mib, a.available},
        {g.branches, "statfs=full", "/on_b", b.mib, b.available},
        {g.branches, "statfs=full", "", a.mib + b.mib, a.available + b.available},
        {g.branches, "statfs=base", "/only_a", a.mib + b.mib, a.available + b.available},
    };
    for (const auto& row : rows) {
        INFO(row.branches, " ", row.options, " ", row.path);
        Mount mount(row.options, row.branches, g.mnt);
        const Space seen(g.mnt + row.path);
        CHECK(seen.mib == row.mib);
        // What the pool itself needs comes and goes.
        CHECK(seen.available + 1 >= row.available);
        CHECK(seen.available <= row.available + 1);
    }
    // What is mounted read-only has nothing free for anybody.
    OK(::mount("none", g.a_fs.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr));
    for (const std::string& branches : {g.branches, ro, nc}) {
        INFO(branches);
        Mount mount("statfs-ignore=none", branches, g.mnt);
        const Space seen(g.mnt);
        CHECK(seen.mib == a.mib + b.mib);
        CHECK(seen.available <= b.available);
        CHECK(seen.available + 1 >= b.available);
    }
}

TEST_CASE("options: extended attributes that are there, not found, or not there at all") {
    Ground g;
    set_xattr(g.a_fs / "on_a", "trusted.mine", "x");
    const std::string file = g.mnt + "/on_a";
    {
        Mount mount("xattr=passthrough", g.branches, g.mnt);
        CHECK(get_xattr(file, "trusted.mine") == "x");
    }
    {
        Mount mount("xattr=noattr", g.branches, g.mnt);
        CHECK(xattr_errno(file, "trusted.mine") == ENODATA);
        CHECK(all_xattrs(file).empty());
        FAILS(ENODATA, ::setxattr(file.c_str(), "trusted.other", "x", 1, 0));
        FAILS(ENODATA, ::removexattr(file.c_str(), "trusted.mine"));
        // How the mount is asked is no attribute of a file.
        CHECK(get_xattr(g.mnt + "/.mergerfs", "user.mergerfs.xattr") == "noattr");
    }
    {
        Mount mount("xattr=nosys", g.branches, g.mnt);
        CHECK(xattr_errno(file, "trusted.mine") == EOPNOTSUPP);
        FAILS(EOPNOTSUPP, ::setxattr(file.c_str(), "trusted.other", "x", 1, 0));
    }
    CHECK(get_xattr(g.a_fs / "on_a", "trusted.mine") == "x");
}

TEST_CASE("options: capabilities that are not asked for") {
    Ground g;
    // cap_net_raw+ep as setcap(8) stores it.
    const unsigned char capability[] = {1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    OK(::setxattr((g.a_fs / "on_a").c_str(), "security.capability", capability, sizeof capability, 0));
    for (const bool on : {true, false}) {
        Mount mount(on ? "" : "security-capability=false", g.branches, g.mnt);
        CHECK(xattr_errno(mount / "on_a", "security.capability") == (on ? 0 : ENODATA));
    }
}

TEST_CASE("options: ACLs are enforced unless they are switched off") {
    Ground g;
    if (!have_tool("setfacl")) skip("no setfacl");
    OK(::chmod((g.a_fs / "on_a").c_str(), 0600));
    must_run({"setfacl", "-m", "u:1000:r", g.a_fs / "on_a"});
    auto may_read = [&](const std::string& options) {
        Mount mount(options, g.branches, g.mnt);
        const std::string path = mount / "on_a";
        return as_user({1000, 1000, {}}, [&] { return try_open(path, O_RDONLY); }) == 0;
    };
    CHECK(may_read(""));
    CHECK(may_read("posix-acl=true"));
    CHECK_FALSE(may_read("posix-acl=false"));
}

TEST_CASE("options: reads and writes that do nothing") {
    Ground g;
    Mount mount("nullrw,create=ff", g.branches, g.mnt);
    CHECK(mount.stats().text("max_stack_depth") == "off");
    UniqueFd fd = open_file(mount / "new", O_CREAT | O_RDWR);
    CHECK(::pwrite(fd.get(), "abc", 3, 0) == 3);
    OK(::fsync(fd.get()));
    CHECK(stat_of(g.a_fs / "new").st_size == 0);
    CHECK(read_file(mount / "on_a") == std::string(1, '\0'));
}

TEST_CASE("options: which closes are told to the branch's file system") {
    Ground g;
    const struct {
        const char* option;
        long read, written;
    } rows[] = {{"never", 0, 0}, {"opened-for-write", 0, 1}, {"always", 1, 1}};
    for (const auto& row : rows) {
        CAPTURE(row.option);
        Mount mount(std::string("flush-on-close=") + row.option, g.branches, g.mnt);
        const Counter count(g.mnt);
        open_file(mount / "on_a", O_RDONLY).reset();
        CHECK(count.request("flush") == row.read);
        open_file(mount / "on_a", O_RDWR).reset();
        CHECK(count.request("flush") == row.read + row.written);
    }
}

TEST_CASE("options: whoever reads through the daemon does so with his own I/O priority") {
    Ground g;
    Mount mount("proxy-ioprio,passthrough.io=off", g.branches, g.mnt);
    CHECK(mount.stats().text("max_stack_depth") == "off");
    const std::string path = mount / "on_a";
    if (!have_tool("ionice")) skip("no ionice");
    CHECK(must_run({"ionice", "-c3", "cat", path}).out == "a");
    CHECK(read_file(path) == "a");
}

TEST_CASE("options: the mount before this one is detached, and what is no FUSE mount is not") {
    Ground g;
    REQUIRE(g.start("fsname=first").code == 0);
    Mount first = Mount::adopt(g.mnt);
    UniqueFd held = open_file(first / "on_a", O_RDONLY);
    REQUIRE(g.start("fsname=second,lazy-umount-mountpoint").code == 0);
    Mount second = Mount::adopt(g.mnt);
    const std::string table = read_file("/proc/self/mounts");
    CHECK(table.find("first " + g.mnt) == std::string::npos);
    CHECK(table.find("second " + g.mnt) != std::string::npos);
    CHECK(read_fd(held.get()) == "a");
    CHECK(read_file(second / "on_a") == "a");
    second.unmount();
    held.reset();
    CHECK(eventually([&] { return !is_alive(first.pid()); }, 8000));
    LoopFs other("tmpfs", g.scratch.path(), "mnt2", 1);
    const Ran over =
        run_plyfs({"-o", "lazy-umount-mountpoint,transport=" + wanted_transport(), g.branches, other.path()});
    INFO(over.err);
    REQUIRE(over.code == 0);
    Mount third = Mount::adopt(other.path());
    third.unmount();
    CHECK(is_mounted(other.path()));
}

TEST_CASE("options: log, priority and threads of the daemon") {
    Ground g;
    const std::string log = g.scratch / "pool.log";
    Mount mount("log.file=" + log + ",log-level=debug,scheduling-priority=5,read-thread-count=3", g.branches, g.mnt);
    CHECK(read_file(mount / "on_a") == "a");
    CHECK(eventually([&] { return exists(log); }));
    set_xattr(mount / ".mergerfs", "user.mergerfs.minfreespace", "1M");
    CHECK(eventually([&] { return read_file(log).find("minfreespace=1M") != std::string::npos; }));
    const std::string stat = read_file("/proc/" + std::to_string(mount.pid()) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string field;
    for (int i = 0; i < 17; ++i) fields >> field;  // the 19th of all
    CHECK(field == "5");
}

TEST_CASE("options: a file that nobody may write to is shown as a link once it is old") {
    Ground g;
    write_file(g.a_fs / "old", "content");
    write_file(g.a_fs / "writable", "content");
    OK(::chmod((g.a_fs / "old").c_str(), 0444));
    OK(::mkdir((g.a_fs / "d").c_str(), 0555));
    OK(::symlink("on_a", (g.a_fs / "link").c_str()));
    Mount mount("symlinkify,symlinkify-timeout=1,timeout=0", g.branches, g.mnt);
    CHECK(S_ISREG(lstat_of(mount / "old").st_mode));
    UniqueFd held = open_file(mount / "old", O_RDONLY);
    CHECK(eventually([&] { return S_ISLNK(lstat_of(mount / "old").st_mode); }, 5000));
    CHECK(link_target(mount / "old") == g.a_fs / "old");
    CHECK(lstat_of(mount / "old").st_size == static_cast<off_t>((g.a_fs / "old").size()));
    CHECK(read_file(mount / "old") == "content");
    CHECK(read_fd(held.get()) == "content");
    held.reset();
    CHECK(S_ISREG(lstat_of(mount / "writable").st_mode));
    CHECK(S_ISDIR(lstat_of(mount / "d").st_mode));
    CHECK(link_target(mount / "link") == "on_a");
    for (const std::string& name : list_dir(g.mnt)) CHECK(exists(mount / name));
    // It is renamed and removed as the file that it is, and a change makes it one to see.
    OK(::rename((mount / "old").c_str(), (mount / "d/moved").c_str()));
    CHECK(read_file(g.a_fs / "d/moved") == "content");
    CHECK(eventually([&] { return S_ISLNK(lstat_of(mount / "d/moved").st_mode); }, 5000));
    CHECK(link_target(mount / "d/moved") == g.a_fs / "d/moved");
    OK(::chmod((g.a_fs / "d/moved").c_str(), 0644));
    CHECK(S_ISREG(lstat_of(mount / "d/moved").st_mode));
    CHECK(read_file(mount / "d/moved") == "content");
    OK(::unlink((mount / "d/moved").c_str()));
    CHECK_FALSE(exists(g.a_fs / "d/moved"));
}

TEST_CASE("options: inode numbers are calculated as asked for, and listings show the same") {
    Ground g;
    make_dirs(g.a_fs / "d");
    write_file(g.a_fs / "d/f", "x");
    const struct {
        const char* name;
        bool dir_by_path, file_by_path;
    } rows[] = {{"stable", false, false},     {"passthrough", false, false}, {"path-hash", true, true},
                {"path-hash32", true, true},  {"devino-hash", false, false}, {"devino-hash32", false, false},
                {"hybrid-hash", true, false}, {"hybrid-hash32", true, false}};
    for (const auto& row : rows) {
        CAPTURE(row.name);
        Mount mount(std::string("timeout=0,inodecalc=") + row.name, g.branches, g.mnt);
        auto inode = [&](const std::string& name) { return lstat_of(mount / name).st_ino; };
        const ino_t dir = inode("d"), file = inode("d/f");
        CHECK(dir != file);
        const std::string short_name = row.name;
        if (short_name.ends_with("32")) CHECK((dir <= 0xffffffff && file <= 0xffffffff));
        if (short_name == "passthrough") CHECK(file == lstat_of(g.a_fs / "d/f").st_ino);
        for (const std::string& listing : {g.mnt, mount / "d"}) {
            DIR* open = ::opendir(listing.c_str());
            REQUIRE(open != nullptr);
            for (const dirent* entry; (entry = ::readdir(open)) != nullptr;) {
                const std::string name = entry->d_name;
                if (name == "..") continue;
                CAPTURE(name);
                CHECK(entry->d_ino == lstat_of(listing + "/" + name).st_ino);
            }
            ::closedir(open);
        }
        OK(::rename((mount / "d").c_str(), (mount / "e").c_str()));
        CHECK((inode("e") == dir) != row.dir_by_path);
        CHECK((inode("e/f") == file) != row.file_by_path);
        OK(::rename((mount / "e").c_str(), (mount / "d").c_str()));
        CHECK(inode("d") == dir);
        CHECK(inode("d/f") == file);
    }
}

TEST_CASE("options: no change of a file is lost while its names part") {
    Ground g;
    Mount mount("link-cow,create=ff,minfreespace=0", g.branches, g.mnt);
    int lost = 0;
    for (int i = 0; i < 40; ++i) {
        const std::string name = "f" + std::to_string(i);
        write_file(g.a_fs / name, pattern(1 << 20), 0600);
        OK(::link((g.a_fs / name).c_str(), (g.a_fs / name + "x").c_str()));
        std::thread writer([&] { UniqueFd fd = open_file(mount / name, O_WRONLY); });
        for (const mode_t mode : {0601, 0602, 0603, 0604, 0605, 0606}) {
            OK(::chmod((mount / name).c_str(), mode));
            if ((lstat_of(mount / name).st_mode & 07777) != mode) ++lost;
        }
        writer.join();
        if ((lstat_of(g.a_fs / name).st_mode & 07777) != 0606) ++lost;
        OK(::unlink((mount / name).c_str()));
        OK(::unlink((mount / name + "x").c_str()));
    }
    CHECK(lost == 0);
}

TEST_CASE("options: names of one file part when one is written to") {
    Ground g;
    auto on_branch = [&](const std::string& name) { return g.a_fs / name; };
    auto same = [&](const std::string& one, const std::string& other) {
        return lstat_of(on_branch(one)).st_ino == lstat_of(on_branch(other)).st_ino;
    };
    auto append = [](const std::string& path, const std::string& more) {
        UniqueFd fd = open_file(path, O_WRONLY | O_APPEND);
        CHECK(::write(fd.get(), more.data(), more.size()) == static_cast<ssize_t>(more.size()));
    };
    write_file(on_branch("f"), "one", 0640);
    OK(::link(on_branch("f").c_str(), on_branch("g").c_str()));
    OK(::link(on_branch("f").c_str(), on_branch("h").c_str()));
    set_xattr(on_branch("f"), "trusted.mine", "x");
    Mount mount("link-cow,create=ff,minfreespace=0", g.branches, g.mnt);
    UniqueFd reader = open_file(mount / "g", O_RDONLY);
    // What is no writing parts nothing.
    OK(::chmod((mount / "f").c_str(), 0600));
    CHECK(read_file(mount / "h") == "one");
    CHECK((same("f", "g") && same("f", "h")));
    CHECK((lstat_of(on_branch("h")).st_mode & 07777) == 0600);
    append(mount / "g", " two");
    CHECK(read_file(mount / "g") == "one two");
    CHECK(read_file(mount / "f") == "one");
    CHECK(read_file(mount / "h") == "one");
    CHECK(read_fd(reader.get()) == "one");
    CHECK(lstat_of(mount / "g").st_nlink == 1);
    CHECK(lstat_of(mount / "g").st_ino != lstat_of(mount / "f").st_ino);
    CHECK(get_xattr(mount / "g", "trusted.mine") == "x");
    CHECK((lstat_of(on_branch("g")).st_mode & 07777) == 0600);
    CHECK((!same("f", "g") && same("f", "h")));
    reader.reset();
    // Once more it is written to in place.
    const ino_t inode = lstat_of(on_branch("g")).st_ino;
    append(mount / "g", " three");
    CHECK(lstat_of(on_branch("g")).st_ino == inode);
    OK(::truncate((mount / "h").c_str(), 1));
    CHECK(read_file(mount / "h") == "o");
    CHECK(read_file(mount / "f") == "one");

    // A link just made, one that was renamed, and one that is removed while it is open.
    OK(::link((mount / "f").c_str(), (mount / "i").c_str()));
    write_file(mount / "i", "new");
    CHECK(read_file(mount / "f") == "one");
    CHECK(read_file(mount / "i") == "new");
    OK(::link((mount / "f").c_str(), (mount / "j").c_str()));
    OK(::rename((mount / "f").c_str(), (mount / "k").c_str()));
    OK(::link((mount / "j").c_str(), (mount / "f").c_str()));
    append(mount / "k", " k");
    CHECK(read_file(mount / "k") == "one k");
    CHECK(read_file(mount / "j") == "one");
    CHECK(read_file(mount / "f") == "one");
    UniqueFd open = open_file(mount / "f", O_RDONLY);
    OK(::unlink((mount / "f").c_str()));
    CHECK(read_fd(open.get()) == "one");
    CHECK(stat_of(open.get()).st_size == 3);
    append(mount / "j", " j");
    CHECK(read_file(mount / "j") == "one j");
    CHECK(list_dir(g.mnt) == std::vector<std::string>{"g", "h", "i", "j", "k", "on_a", "on_b"});
}

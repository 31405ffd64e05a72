// File handles of a pool: name_to_handle_at(2) and open_by_handle_at(2), as an NFS server uses them.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

struct Handle {
    explicit Handle(const std::string& path) {
        std::memset(raw, 0, sizeof raw);
        head()->handle_bytes = MAX_HANDLE_SZ;
        int mount_id;
        OK(::name_to_handle_at(AT_FDCWD, path.c_str(), head(), &mount_id, 0));
    }
    struct file_handle* head() {
        return reinterpret_cast<struct file_handle*>(raw);
    }
    // The descriptor, or -1 and errno.
    int open(const std::string& mnt, int flags) {
        UniqueFd at = open_file(mnt, O_RDONLY | O_DIRECTORY);
        return ::open_by_handle_at(at.get(), head(), flags | O_CLOEXEC);
    }
    alignas(struct file_handle) char raw[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

struct Ground {
    Ground() : a(scratch.dir("a")), b(scratch.dir("b")), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
        need_privilege("to open by handle");
        make_dirs(a + "/d/e");
        write_file(a + "/d/e/f", "f");
        write_file(b + "/g", "g");
    }
    std::string branches() const { return a + ":" + b; }
    Scratch scratch;
    std::string a, b, mnt;
};

}  // namespace

TEST_CASE("handles: they lead to their files after the kernel has forgotten everything") {
    Ground g;
    Mount mount("noforget", g.branches(), g.mnt);
    Handle file(mount / "d/e/f"), dir(mount / "d/e"), other(mount / "g"), root(g.mnt);
    const auto inode = stat_of(mount / "d/e/f").st_ino;
    drop_caches();
    nap(50);
    for (int round = 0; round < 3; ++round) {
        UniqueFd fd(OK(file.open(g.mnt, O_RDONLY)));
        CHECK(read_fd(fd.get()) == "f");
        CHECK(stat_of(fd.get()).st_ino == inode);
        UniqueFd in(OK(dir.open(g.mnt, O_RDONLY | O_DIRECTORY)));
        CHECK(UniqueFd(::openat(in.get(), "f", O_RDONLY)).valid());
        UniqueFd up(OK(::openat(in.get(), "../../g", O_RDONLY)));
        CHECK(read_fd(up.get()) == "g");
        UniqueFd top(OK(root.open(g.mnt, O_RDONLY | O_DIRECTORY)));
        drop_caches();
        nap(50);
    }
    // Under another name it is the same file.
    OK(::rename((mount / "d/e/f").c_str(), (mount / "moved").c_str()));
    drop_caches();
    UniqueFd fd(OK(file.open(g.mnt, O_RDWR)));
    write_fd(fd.get(), "F", 0);
    CHECK(read_file(g.a + "/moved") == "F");
    fd.reset();
    // Removed, and another one made with the name.
    OK(::unlink((mount / "moved").c_str()));
    write_file(mount / "moved", "new");
    drop_caches();
    FAILS(ESTALE, file.open(g.mnt, O_RDONLY));
    OK(::unlink((mount / "moved").c_str()));
    OK(::rmdir((mount / "d/e").c_str()));
    drop_caches();
    FAILS(ESTALE, dir.open(g.mnt, O_RDONLY | O_DIRECTORY));
    CHECK(UniqueFd(other.open(g.mnt, O_RDONLY)).valid());
}

TEST_CASE("handles: of an earlier mount they lead nowhere, and never to another file") {
    Ground g;
    std::vector<Handle> handles;
    {
        Mount mount("noforget", g.branches(), g.mnt);
        for (const char* name : {"d", "d/e", "d/e/f", "g"}) handles.emplace_back(mount / name);
    }
    Mount mount("noforget", g.branches(), g.mnt);
    // In another order, so that numbers given out again would be others'.
    for (const char* name : {"g", "d/e/f", "d"}) stat_of(mount / name);
    for (Handle& handle : handles) FAILS(ESTALE, handle.open(g.mnt, O_RDONLY));
}

TEST_CASE("handles: without the option there are none, and with export-support alone while the kernel knows the file") {
    Ground g;
    {
        Mount mount("", g.branches(), g.mnt);
        alignas(struct file_handle) char raw[sizeof(struct file_handle) + MAX_HANDLE_SZ] = {};
        auto* head = reinterpret_cast<struct file_handle*>(raw);
        head->handle_bytes = MAX_HANDLE_SZ;
        int mount_id;
        FAILS(EOPNOTSUPP, ::name_to_handle_at(AT_FDCWD, (mount / "g").c_str(), head, &mount_id, 0));
    }
    Mount mount("export-support", g.branches(), g.mnt);
    UniqueFd held = open_file(mount / "g", O_RDONLY);
    Handle file(mount / "g");
    UniqueFd fd(OK(file.open(g.mnt, O_RDONLY)));
    CHECK(read_fd(fd.get()) == "g");
}

namespace {

// Branches that are whole file systems which open an object by its number.
struct Disks {
    explicit Disks(const std::string& kind)
        : a(kind, scratch.path(), "a", kind == "xfs" ? 320 : 128),
          b(kind, scratch.path(), "b", kind == "xfs" ? 320 : 128),
          mnt(scratch.dir("mnt")) {
        make_dirs(a / "d/e");
        write_file(a / "d/e/f", "f");
        make_dirs(b / "d/only_b");
        write_file(b / "d/only_b/g", "g");
    }
    Scratch scratch;
    LoopFs a, b;
    std::string mnt;
};

void check_lasting(const std::string& kind) {
    if (is_standin()) skip("about plyfs itself");
    need_privilege("to open by handle");
    Disks disks(kind);
    const char* const names[] = {"d", "d/e", "d/e/f", "d/only_b", "d/only_b/g"};
    std::vector<Handle> handles;
    std::vector<ino_t> inodes;
    {
        Mount mount("export-support,create=ff,minfreespace=0", disks.a.path() + ":" + disks.b.path(), disks.mnt);
        write_file(mount / "made", "made");
        for (const char* name : names) {
            handles.emplace_back(mount / name);
            inodes.push_back(stat_of(mount / name).st_ino);
        }
        handles.emplace_back(mount / "made");
        // The kernel forgets, and so does the daemon.
        drop_caches();
        nap(50);
        UniqueFd fd(OK(handles[2].open(disks.mnt, O_RDWR)));
        CHECK(read_fd(fd.get()) == "f");
        CHECK(stat_of(fd.get()).st_ino == inodes[2]);
        write_fd(fd.get(), "F", 0);
        CHECK(read_file(mount / "d/e/f") == "F");
        CHECK(stat_of(fd.get()).st_size == 1);
    }
    // Mounted anew, the branches in the other order: directories that both have are others' now.
    Mount mount("export-support,create=ff,minfreespace=0", disks.b.path() + ":" + disks.a.path(), disks.mnt);
    for (const std::size_t i : {1, 2, 3, 4}) {
        CAPTURE(names[i]);
        UniqueFd fd(OK(handles[i].open(disks.mnt, O_RDONLY)));
        CHECK((stat_of(fd.get()).st_mode & S_IFMT) == (stat_of(mount / names[i]).st_mode & S_IFMT));
        CHECK(stat_of(fd.get()).st_ino == stat_of(mount / names[i]).st_ino);
    }
    FAILS(ESTALE, handles[0].open(disks.mnt, O_RDONLY));
    drop_caches();
    UniqueFd made(OK(handles[5].open(disks.mnt, O_RDWR)));
    CHECK(read_fd(made.get()) == "made");
    // Found by its handle first, then by its name: it is one file, and lives as one.
    CHECK(stat_of(mount / "made").st_ino == stat_of(made.get()).st_ino);
    OK(::rename((mount / "made").c_str(), (mount / "d/e/moved").c_str()));
    write_fd(made.get(), "MADE", 0);
    CHECK(read_file(disks.a / "d/e/moved") == "MADE");
    OK(::unlink((mount / "d/e/moved").c_str()));
    CHECK(read_fd(made.get()) == "MADE");
    made.reset();
    UniqueFd in(OK(handles[1].open(disks.mnt, O_RDONLY | O_DIRECTORY)));
    UniqueFd below(OK(::openat(in.get(), "f", O_RDONLY)));
    CHECK(read_fd(below.get()) == "F");
    below.reset();
    in.reset();
    // The number is given to other files, the handle is not good for those.
    for (int i = 0; i < 200; ++i) write_file(mount / ("new" + std::to_string(i)), "new");
    drop_caches();
    FAILS(ESTALE, handles[5].open(disks.mnt, O_RDONLY));
    // Moved on the branch by somebody else.
    OK(::rename((disks.a / "d/e/f").c_str(), (disks.a / "elsewhere").c_str()));
    drop_caches();
    CHECK(eventually([&] { return UniqueFd(handles[2].open(disks.mnt, O_RDONLY)).valid(); }));
    // Of a name that is removed while only its handle was used.
    UniqueFd held(OK(handles[4].open(disks.mnt, O_RDONLY)));
    OK(::unlink((mount / "d/only_b/g").c_str()));
    CHECK(read_fd(held.get()) == "g");
    CHECK(stat_of(held.get()).st_nlink == 0);
    held.reset();
    // When the kernel has said so: RELEASE and FORGET come later.
    CHECK(eventually([&] {
        drop_caches();
        nap(50);
        const UniqueFd gone(handles[4].open(disks.mnt, O_RDONLY));
        return !gone.valid() && errno == ESTALE;
    }));
}

}  // namespace

TEST_CASE("handles: on ext4 they outlast the mount") {
    check_lasting("ext4");
}

TEST_CASE("handles: on Btrfs they outlast the mount") {
    check_lasting("btrfs");
}

TEST_CASE("handles: on XFS they outlast the mount") {
    check_lasting("xfs");
}

TEST_CASE("handles: of layers, good until the file is removed or the mount ends") {
    if (is_standin()) skip("about plyfs itself");
    need_privilege("to open by handle");
    Layers tree;
    make_dirs(tree.lower2 + "/d/e");
    make_dirs(tree.lower + "/d");
    write_file(tree.lower2 + "/d/e/f", "below");
    write_file(tree.lower + "/d/g", "above");
    tree.mount("nfs_export=on");
    Handle file(tree / "d/e/f"), dir(tree / "d"), other(tree / "d/g");
    const auto inode = stat_of(tree / "d/e/f").st_ino;
    const auto forget = [] {
        drop_caches();
        nap(50);
    };
    forget();
    UniqueFd old(OK(file.open(tree.mnt(), O_RDONLY)));
    CHECK(read_fd(old.get()) == "below");
    // Opened for writing by its handle it is copied up, with no path for anybody to walk again.
    UniqueFd fd(OK(file.open(tree.mnt(), O_RDWR)));
    write_fd(fd.get(), "BE", 0);
    CHECK(read_fd(old.get()) == "BElow");
    CHECK(stat_of(fd.get()).st_ino == inode);
    fd.reset();
    old.reset();
    OK(::rename((tree / "d/e").c_str(), (tree / "moved").c_str()));
    forget();
    fd = UniqueFd(OK(file.open(tree.mnt(), O_RDONLY)));
    CHECK(read_fd(fd.get()) == "BElow");
    fd.reset();
    UniqueFd in(OK(dir.open(tree.mnt(), O_RDONLY | O_DIRECTORY)));
    CHECK(UniqueFd(::openat(in.get(), "g", O_RDONLY)).valid());
    in.reset();
    OK(::unlink((tree / "d/g").c_str()));
    forget();
    FAILS(ESTALE, other.open(tree.mnt(), O_RDONLY));
    tree.unmount();
    tree.mount("nfs_export=on");
    FAILS(ESTALE, file.open(tree.mnt(), O_RDONLY));
}

// File handles of a pool: name_to_handle_at(2) and open_by_handle_at(2), as an NFS server uses them.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"

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

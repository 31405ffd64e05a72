// Attributes change without a copy of the content, which comes when it is asked for: the marks are overlayfs' own.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mount/kernel_view.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// What a daemon leaves that ended while it copied the content.
void interrupt_copy(const std::string& file, const char* note, const std::string& text) {
    write_fd(open_file(file, O_WRONLY).get(), "half", 0);
    CHECK(get_xattr(file, "security.capability") == "(none)");  // by the write
    if (!text.empty()) set_xattr(file, note, text);
}

const std::string kCapability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
constexpr const char* kNoted = "1f 1111111111.11 1222222222.22 0100000200200000000000000000000000000000";

}  // namespace

TEST_CASE("metacopy: owner, mode, times and attributes change without a copy of the content") {
    Layers tree;
    const std::string content = pattern(3 << 20);
    write_file(tree.lower2 + "/f", content);
    write_file(tree.lower2 + "/small", "small");
    write_file(tree.lower2 + "/empty", "");
    tree.mount("metacopy=on");
    const auto blocks = stat_of(tree / "f").st_blocks;
    OK(::chown((tree / "f").c_str(), 7, 8));
    OK(::chmod((tree / "f").c_str(), 04711));
    OK(::chmod((tree / "small").c_str(), 0600));
    OK(::chmod((tree / "empty").c_str(), 0600));
    set_xattr(tree / "f", "user.x", "y");
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "");
    CHECK(stat_of(tree.upper + "/f").st_blocks < 64);
    CHECK(stat_of(tree / "f").st_blocks == blocks);
    CHECK(stat_of(tree / "f").st_size == static_cast<off_t>(content.size()));
    CHECK(read_file(tree / "f") == content);
    CHECK(read_file(tree / "small") == "small");

    const int reader = OK(::open((tree / "f").c_str(), O_RDONLY));
    const int writer = OK(::open((tree / "f").c_str(), O_RDWR | O_APPEND));
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "(none)");
    CHECK(stat_of(tree / "f").st_mtim.tv_sec == stat_of(tree.lower2 + "/f").st_mtim.tv_sec);
    write_fd(writer, "more", static_cast<off_t>(content.size()));
    CHECK(read_file(tree / "f") == content + "more");
    CHECK(read_fd(reader) ==
          (is_unprivileged() ? content + "more" : content));  // one that does not pass through follows
    ::close(reader);
    ::close(writer);
    CHECK(get_xattr(tree / "f", "user.x") == "y");
    CHECK(stat_of(tree / "f").st_uid == 7);
    check_with_kernel(tree);
}

TEST_CASE("metacopy: renamed, linked, removed while open, truncated and mounted again") {
    Layers tree;
    const std::string content = pattern(200000);
    make_dirs(tree.lower + "/d");
    for (std::string name : {"renamed", "linked", "open", "cut", "d/moved"})
        write_file(tree.lower + "/" + name, content);
    tree.mount("metacopy=on");
    for (std::string name : {"renamed", "linked", "open", "cut", "d/moved"}) OK(::chmod((tree / name).c_str(), 0640));
    OK(::rename((tree / "renamed").c_str(), (tree / "d/r2").c_str()));
    OK(::link((tree / "linked").c_str(), (tree / "d/l2").c_str()));
    OK(::rename((tree / "d/moved").c_str(), (tree / "moved").c_str()));
    OK(::rename((tree / "d").c_str(), (tree / "e").c_str()));
    const int open = OK(::open((tree / "open").c_str(), O_RDONLY));
    OK(::unlink((tree / "open").c_str()));
    CHECK(read_fd(open) == content);
    CHECK(read_file("/proc/self/fd/" + std::to_string(open)) == content);
    OK(::fchmod(open, 0444));
    ::close(open);
    OK(::truncate((tree / "cut").c_str(), 1000));
    CHECK(get_xattr(tree.upper + "/cut", kMetacopy) == "(none)");
    CHECK(get_xattr(tree.upper + "/moved", kRedirect) == "/d/moved");
    tree.unmount();
    tree.mount("metacopy=on");
    CHECK(read_file(tree / "e/r2") == content);
    CHECK(read_file(tree / "e/l2") == content);
    CHECK(read_file(tree / "linked") == content);
    CHECK(read_file(tree / "moved") == content);
    CHECK(read_file(tree / "cut") == content.substr(0, 1000));
    write_fd(open_file(tree / "e/r2", O_WRONLY).get(), "X", 5);
    CHECK(read_file(tree / "e/r2") == content.substr(0, 5) + "X" + content.substr(6));
    check_with_kernel(tree);
}

TEST_CASE("metacopy: one whose completion was interrupted is one still, however many blocks it has") {
    Layers tree;
    const std::string content = pattern(1 << 20);
    write_file(tree.lower2 + "/f", content);
    write_file(tree.lower2 + "/shared", content);
    OK(::link((tree.lower2 + "/shared").c_str(), (tree.lower2 + "/name").c_str()));
    tree.mount("metacopy=on");
    for (std::string name : {"f", "shared"}) OK(::chmod((tree / name).c_str(), 0640));
    tree.unmount();
    // As a crash leaves it: room was taken for all, and not all was written.
    for (std::string name : {"f", "shared"}) {
        UniqueFd fd = open_file(tree.upper + "/" + name, O_WRONLY);
        OK(::fallocate(fd.get(), 0, 0, static_cast<off_t>(content.size())));
        write_fd(fd.get(), content.substr(0, 70000), 0);
    }
    CHECK(stat_of(tree.upper + "/f").st_blocks >= static_cast<blkcnt_t>(content.size() / 512));
    tree.mount("metacopy=on");
    for (std::string name : {"f", "shared", "name"}) {
        CAPTURE(name);
        CHECK(read_file(tree / name) == content);
    }
    OK(::close(OK(::open((tree / "f").c_str(), O_RDWR))));
    CHECK(read_file(tree / "f") == content);
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "(none)");
}

TEST_CASE("metacopy: without room for the content it stays what it is and takes none") {
    Layers tree;
    const std::string content = pattern(12 << 20);
    write_file(tree.lower2 + "/f", content);
    tree.mount("metacopy=on");
    OK(::chmod((tree / "f").c_str(), 0640));
    struct statvfs room {};
    OK(::statvfs(tree.upper.c_str(), &room));
    {
        UniqueFd filler = open_file(tree.upper + "/../filler", O_CREAT | O_WRONLY);
        const auto all = static_cast<off_t>(room.f_bavail * room.f_frsize);
        OK(::fallocate(filler.get(), 0, 0, all - (6 << 20)));
    }
    FAILS(ENOSPC, ::open((tree / "f").c_str(), O_RDWR));
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "");
    CHECK(stat_of(tree.upper + "/f").st_blocks < 64);
    CHECK(read_file(tree / "f") == content);
    OK(::unlink((tree.upper + "/../filler").c_str()));
    OK(::close(OK(::open((tree / "f").c_str(), O_RDWR))));
    CHECK(read_file(tree / "f") == content);
    check_with_kernel(tree);
}

TEST_CASE("metacopy: a name without content does not keep the names beside it from being listed") {
    Layers tree;
    for (std::string name : {"a", "b", "c"}) write_file(tree.lower + "/" + name, name);
    write_file(tree.lower + "/broken", "");
    set_xattr(tree.lower + "/broken", kMetacopy, "");
    tree.mount();
    const std::vector<std::string> all{"a", "b", "broken", "c"};
    CHECK(list_dir(tree.mnt()) == all);
    const Ran listed = run({"ls", "-l", tree.mnt()});
    for (std::string name : {"a", "b", "c", "broken"}) CHECK(listed.out.find(" " + name + "\n") != std::string::npos);
    CHECK(listed.err.find("reading directory") == std::string::npos);
    FAILS(EIO, ::access((tree / "broken").c_str(), F_OK));
}

TEST_CASE("data-only layers: content for metacopies that redirect to it, and nothing else") {
    Layers tree;
    const std::string content = pattern(100000);
    make_dirs(tree.lower2 + "/store/ab");
    write_file(tree.lower2 + "/store/ab/blob", content);
    write_file(tree.lower2 + "/not_listed", "x");
    write_file(tree.lower + "/f", "");
    OK(::truncate((tree.lower + "/f").c_str(), static_cast<off_t>(content.size())));
    set_xattr(tree.lower + "/f", kMetacopy, "");
    set_xattr(tree.lower + "/f", kRedirect, "/store/ab/blob");
    Mount mount("lowerdir=" + tree.lower + "::" + tree.lower2 + ",upperdir=" + tree.upper + ",workdir=" + tree.work, "",
                tree.mnt());
    CHECK(list_dir(tree.mnt()) == std::vector<std::string>{"f"});
    CHECK(read_file(tree / "f") == content);
    write_fd(open_file(tree / "f", O_WRONLY).get(), "Y", 0);
    CHECK(read_file(tree / "f") == "Y" + content.substr(1));
    CHECK(read_file(tree.lower2 + "/store/ab/blob") == content);
    mount.unmount();
}

TEST_CASE("metacopy: a name of a hard-linked lower goes, and the others count without it after a new mount") {
    Layers tree;
    write_file(tree.lower + "/one", "x");
    for (const char* name : {"two", "three"})
        OK(::link((tree.lower + "/one").c_str(), (tree.lower + "/" + name).c_str()));
    write_file(tree.lower + "/other", "other");
    tree.mount("metacopy=on,index=on");
    OK(::unlink((tree / "one").c_str()));
    CHECK(stat_of(tree / "two").st_nlink == 2);
    tree.unmount();
    tree.mount("metacopy=on,index=on");
    CHECK(stat_of(tree / "two").st_nlink == 2);
    OK(::rename((tree / "other").c_str(), (tree / "two").c_str()));
    tree.unmount();
    tree.mount("metacopy=on,index=on");
    CHECK(stat_of(tree / "three").st_nlink == 1);
    CHECK(read_file(tree / "three") == "x");
    CHECK(read_file(tree / "two") == "other");
}

TEST_CASE("metacopy: times and capabilities that an interrupted copy has changed are given back") {
    Layers tree;
    write_file(tree.lower2 + "/f", pattern(100000));
    set_xattr(tree.lower2 + "/f", "security.capability", kCapability);
    tree.mount("metacopy=on");
    OK(::chmod((tree / "f").c_str(), 0755));
    CHECK(get_xattr(tree.upper + "/f", "security.capability") == kCapability);
    tree.unmount();
    // Without privilege marks are the owner's, who gets no capabilities by them.
    const std::string given = is_unprivileged() ? "(none)" : kCapability;
    interrupt_copy(tree.upper + "/f", "trusted.overlay.copying", kNoted);
    tree.mount("metacopy=on,ro");
    CHECK(stat_of(tree / "f").st_mtim.tv_sec != 1222222222);
    tree.unmount();
    tree.mount("metacopy=on");
    const auto st = stat_of(tree / "f");
    CHECK(st.st_mtim.tv_sec == 1222222222);
    CHECK(st.st_mtim.tv_nsec == 22);
    CHECK(st.st_atim.tv_sec == 1111111111);
    CHECK(get_xattr(tree / "f", "security.capability") == given);
    CHECK(get_xattr(tree.upper + "/f", "trusted.overlay.copying") == "(none)");
    CHECK(read_file(tree / "f") == pattern(100000));
    // Nothing is left of it once there is a copy, which takes capabilities by nothing but a write.
    OK(::close(OK(::open((tree / "f").c_str(), O_RDWR))));
    CHECK(get_xattr(tree.upper + "/f", kMetacopy) == "(none)");
    CHECK(get_xattr(tree.upper + "/f", "trusted.overlay.copying") == "(none)");
    CHECK(get_xattr(tree / "f", "security.capability") == given);
    CHECK(stat_of(tree / "f").st_mtim.tv_sec == 1222222222);
}

TEST_CASE("metacopy: a note that an owner could have written gives no capabilities, and a broken one nothing") {
    Layers tree;
    for (std::string name : {"f", "broken"}) {
        write_file(tree.lower2 + "/" + name, "content");
        set_xattr(tree.lower2 + "/" + name, "security.capability", kCapability);
    }
    tree.mount("metacopy=on,redirect_dir=on,userxattr");
    for (std::string name : {"f", "broken"}) OK(::chmod((tree / name).c_str(), 0755));
    tree.unmount();
    CHECK(get_xattr(tree.upper + "/f", "user.overlay.metacopy") == "");
    interrupt_copy(tree.upper + "/f", "user.overlay.copying", kNoted);
    interrupt_copy(tree.upper + "/broken", "user.overlay.copying", "1f 1111111111.11 1222222222.2222222222 01");
    tree.mount("metacopy=on,redirect_dir=on,userxattr");
    CHECK(stat_of(tree / "f").st_mtim.tv_sec == 1222222222);
    CHECK(get_xattr(tree.upper + "/f", "security.capability") == "(none)");
    CHECK(stat_of(tree / "broken").st_mtim.tv_sec != 1222222222);
    CHECK(read_file(tree / "broken") == "content");
}

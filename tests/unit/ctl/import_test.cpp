// What mounts by other programs are written as for plyfs.
#include "ctl/import.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace plyfs::ctl;

namespace {

Imported imported(Foreign program, const std::string& line) {
    const auto out = import_line(program, line);
    REQUIRE(out);
    return *out;
}

bool says(const std::vector<std::string>& lines, const std::string& part) {
    return std::any_of(lines.begin(), lines.end(), [&](const auto& line) { return line.find(part) != line.npos; });
}

}  // namespace

TEST_CASE("import: a line of mergerfs keeps its options, and what means nothing here is left out") {
    const auto out = imported(Foreign::mergerfs,
                              "/mnt/disk*:/mnt/a\\040b  /pool fuse.mergerfs "
                              "defaults,use_ino,category.create=mfs,minfreespace=20G,posix-acl=true,cache.writeback=on,"
                              "inodecalc=path-hash,fsname=media,nofail 0 0");
    CHECK(out.faults.empty());
    CHECK(out.text ==
          "/mnt/disk*:/mnt/a\\040b  /pool  plyfs  "
          "defaults,category.create=mfs,minfreespace=20G,posix-acl=true,inodecalc=path-hash,fsname=media,nofail  0  0");
    CHECK(out.changes.size() == 4);
    CHECK(says(out.changes, "export-support"));
    CHECK(says(out.changes, "the type is plyfs instead of fuse.mergerfs"));
    CHECK(says(out.changes, "option use_ino has no effect"));
    CHECK(says(out.changes, "option cache.writeback has no effect"));
}

TEST_CASE("import: where mergerfs' defaults are others that is said, and what protects branches is added") {
    const auto out = imported(Foreign::mergerfs, "mergerfs#/a=RW,50G:/b=RO /pool fuse allow_other 0 0");
    CHECK(out.text == "/a=RW,50G:/b=RO  /pool  plyfs  allow_other,copyup=off,whiteouts=off,posix-acl=off  0  0");
    for (std::string part : {"category.create=epmfs", "copyup=off is added", "whiteouts=off is added",
                             "posix-acl=off is", "inodecalc=hybrid-hash", "minfreespace is 4G"}) {
        CAPTURE(part);
        CHECK(says(out.changes, part));
    }
    CHECK(imported(Foreign::mergerfs, "/a:/b /pool mergerfs").text == "/a:/b  /pool  plyfs  defaults,posix-acl=off");
}

TEST_CASE("import: lines of overlayfs and fuse-overlayfs") {
    const auto kernel = imported(
        Foreign::overlay, "overlay /root overlay lowerdir=/a\\134:b:/c,upperdir=/u,workdir=/w,xino=off,noatime 0 0");
    CHECK(kernel.faults.empty());
    CHECK(kernel.text == "overlay  /root  plyfs  lowerdir=/a\\134:b:/c,upperdir=/u,workdir=/w,noatime  0  0");
    CHECK(says(kernel.changes, "redirect_dir"));
    CHECK(says(kernel.changes, "xino=off has no effect"));
    const auto fuse = imported(Foreign::fuse_overlayfs,
                               "fuse-overlayfs /m fuse.fuse-overlayfs lowerdir=/a,upperdir=/u,workdir=/w,threaded=1,"
                               "squash_to_root,its-own=1");
    CHECK(fuse.text == "fuse-overlayfs  /m  plyfs  lowerdir=/a,upperdir=/u,workdir=/w,squash_to_root");
    CHECK(says(fuse.changes, "unknown argument ignored: its-own=1"));
}

TEST_CASE("import: what can not be done is said, and other lines are not looked at") {
    CHECK_FALSE(import_line(Foreign::mergerfs, "# /a:/b /pool fuse.mergerfs defaults 0 0"));
    CHECK_FALSE(import_line(Foreign::mergerfs, ""));
    CHECK_FALSE(import_line(Foreign::mergerfs, "/dev/sda1 / ext4 defaults 0 1"));
    CHECK_FALSE(import_line(Foreign::overlay, "/a:/b /pool fuse.mergerfs defaults 0 0"));
    CHECK(says(imported(Foreign::mergerfs, "/a:/b /p fuse.mergerfs cateogry.create=mfs").faults, "did you mean"));
    CHECK(says(imported(Foreign::mergerfs, "/a=XX /p fuse.mergerfs defaults").faults, "XX"));
    CHECK(says(imported(Foreign::overlay, "o /p overlay lowerdir=/a,verity=require").faults, "verity"));
    CHECK(says(imported(Foreign::overlay, "o /p overlay upperdir=/a,workdir=/w").faults, "lowerdir"));
    CHECK_FALSE(foreign_of("unionfs"));
    CHECK(foreign_of("fuse-overlayfs") == Foreign::fuse_overlayfs);
}

TEST_CASE("import: storage.conf names another program, and nothing else of it changes") {
    const std::string text =
        "[storage]\ndriver = \"overlay\"\n# mount_program = \"x\"\n[storage.options.overlay]\n"
        "mount_program = \"/usr/bin/fuse-overlayfs\" # ours\nmountopt = \"nodev,threaded=1\"\n";
    const Imported out = import_storage(text, "/opt/ours");
    CHECK(out.faults.empty());
    CHECK(out.text ==
          "[storage]\ndriver = \"overlay\"\n# mount_program = \"x\"\n[storage.options.overlay]\n"
          "mount_program = \"/opt/ours\"\nmountopt = \"nodev,threaded=1\"\n");
    CHECK(says(out.changes, "instead of /usr/bin/fuse-overlayfs"));
    CHECK(says(out.changes, "mountopt: option threaded has no effect"));
    const Imported again = import_storage(out.text, "/opt/ours");
    CHECK(again.text == out.text);
    CHECK_FALSE(says(again.changes, "mount_program"));
    CHECK(import_storage("[storage]\ndriver = \"overlay\"\n", "/p").text ==
          "[storage]\ndriver = \"overlay\"\n\n[storage.options.overlay]\nmount_program = \"/p\"\n");
    CHECK(import_storage("[storage.options.overlay]\nmountopt = \"nodev\"\n[x]\n", "/p").text ==
          "[storage.options.overlay]\nmount_program = \"/p\"\nmountopt = \"nodev\"\n[x]\n");
    CHECK(says(import_storage("[storage]\ndriver = \"vfs\"\n", "/p").faults, "vfs"));
}

TEST_CASE("import: a storage.conf that can not be read is not rewritten") {
    for (const auto& [text, what] : {std::pair{"[storage]\ndriver = \"overlay\n", "line 2: the text has no end"},
                                     {"[storage\n", "line 1: the table's name has no ']'"},
                                     {"[storage]\n\nmount_program\n", "line 3: is neither"}}) {
        INFO(text);
        CHECK(says(import_storage(text, "/p").faults, what));
    }
    const std::string list = "[storage.options]\nadditionalimagestores = [\n  \"/a]\", # ]\n  \"/b\",\n]\n";
    const Imported out = import_storage(list, "/p");
    CHECK(out.faults.empty());
    CHECK(out.text.starts_with(list));
}

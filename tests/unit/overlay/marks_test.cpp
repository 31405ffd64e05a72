#include "overlay/marks.h"

#include "branches.h"

using namespace plyfs;
using namespace plyfs::test;

TEST_CASE("marks: attribute names as stored and as seen") {
    struct Row {
        const char* seen;
        const char* stored;
    };
    const Row rows[] = {
        {"user.comment", "user.comment"},
        {"security.capability", "security.capability"},
        {"trusted.other", "trusted.other"},
        {"trusted.overlay.opaque", "trusted.overlay.overlay.opaque"},
        {"trusted.overlay.overlay.opaque", "trusted.overlay.overlay.overlay.opaque"},
        {"trusted.overlay.", "trusted.overlay.overlay."},
        {"trusted.overlay.overlay.", "trusted.overlay.overlay.overlay."},
        {"user.overlay.opaque", "user.overlay.overlay.opaque"},
        {"user.overlay.overlay.x", "user.overlay.overlay.overlay.x"},
        {"trusted.overlay", "trusted.overlay"},  // no dot: not the prefix
        {"trusted.overlays.x", "trusted.overlays.x"},
        {"user.overlayfs", "user.overlayfs"},
        {"system.overlay.x", "system.overlay.x"},
        {"trusted.user.overlay.x", "trusted.user.overlay.x"},
        {"", ""},
    };
    for (const Row& row : rows) {
        INFO(std::string(row.seen));
        CHECK(marks::stored_xattr(row.seen) == row.stored);
        std::string seen = "untouched";
        CHECK(marks::seen_xattr(row.stored, seen));
        CHECK(seen == row.seen);
        CHECK_FALSE(marks::is_private_xattr(row.stored));
    }
}

TEST_CASE("marks: what is stored by us alone is not seen") {
    for (const char* stored :
         {"trusted.overlay.opaque", "trusted.overlay.origin", "user.overlay.whiteout", "trusted.overlay.",
          "user.overlay.", "trusted.overlay.overlay", "user.overlay.overlayx", "user.fuseoverlayfs.origin"}) {
        INFO(std::string(stored));
        std::string seen;
        CHECK_FALSE(marks::seen_xattr(stored, seen));
        CHECK(marks::is_private_xattr(stored));
    }
}

TEST_CASE("marks: nesting any number of times comes back") {
    for (std::string name : {"trusted.overlay.opaque", "user.overlay.origin", "user.plain"}) {
        const std::string first = name;
        for (int i = 0; i < 5; ++i) name = marks::stored_xattr(name);
        for (int i = 0; i < 5; ++i) {
            std::string seen;
            REQUIRE(marks::seen_xattr(name, seen));
            name = seen;
        }
        CHECK(name == first);
    }
}

TEST_CASE("marks: opaque directories") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    struct Row {
        const char* name;
        const char* xattr;
        std::string value;
        bool opaque;
    };
    const Row rows[] = {
        {"none", nullptr, "", false},
        {"the mark", "trusted.overlay.opaque", "y", true},
        {"the mark of an unprivileged mount", "user.overlay.opaque", "y", true},
        {"another value", "trusted.overlay.opaque", "n", false},
        {"capital letter", "trusted.overlay.opaque", "Y", false},
        {"longer", "trusted.overlay.opaque", "yes", false},
        {"far longer than what is looked at", "trusted.overlay.opaque", std::string(100, 'y'), false},
        {"empty", "trusted.overlay.opaque", "", false},
        {"fuse-overlayfs' mark", "user.fuseoverlayfs.opaque", "y", true},
        {"one that holds whiteouts", "trusted.overlay.opaque", "x", false},
        {"a nested overlay's", "trusted.overlay.overlay.opaque", "y", false},
    };
    for (const Row& row : rows) {
        INFO(std::string(row.name));
        const std::string path = scratch / row.name;
        make_dir(path);
        if (row.xattr) REQUIRE(::setxattr(path.c_str(), row.xattr, row.value.data(), row.value.size(), 0) == 0);
        for (int flags : {O_PATH | O_DIRECTORY, O_RDONLY | O_DIRECTORY}) {
            auto found = marks::is_opaque(open_or_fail(path, flags));
            REQUIRE(found);
            CHECK(*found == row.opaque);
        }
    }
    const std::string made = scratch / "made";
    make_dir(made);
    REQUIRE(marks::make_opaque(open_dir(made)));
    CHECK(is_opaque(made));
    CHECK(marks::is_opaque(open_dir(made)).value());
}

TEST_CASE("marks: errors that are no answer are passed on") {
    CHECK(marks::is_opaque(BorrowedFd(1000000)).failed_with(EBADF));
}

TEST_CASE("marks: whiteouts") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto dir = open_dir(scratch.path());
    REQUIRE(marks::make_whiteout(dir, name_of("gone")));
    auto st = sys::stat_at(dir, name_of("gone"));
    REQUIRE(st);
    CHECK(marks::is_whiteout(*st));
    CHECK(lstat_or_fail(scratch / "gone").st_rdev == makedev(0, 0));
    CHECK(marks::make_whiteout(dir, name_of("gone")).failed_with(EEXIST));
    // Other devices and files of size 0 are not.
    REQUIRE(::mknod((scratch / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
    REQUIRE(::mknod((scratch / "block").c_str(), S_IFBLK | 0600, makedev(0, 0)) == 0);
    REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
    write_file(scratch / "empty", "");
    for (const char* name : {"null", "block", "fifo", "empty"}) {
        INFO(std::string(name));
        CHECK_FALSE(marks::is_whiteout(sys::stat_at(dir, name_of(name)).value()));
    }
}

TEST_CASE("marks: AUFS' names") {
    struct Row {
        const char* name;
        const char* hides;
    };
    for (const Row& row : {Row{".wh.x", "x"},
                           {".wh..x", ".x"},
                           {".wh.", ""},
                           {".wh..wh..opq", ""},
                           {".wh..wh.aufs", ""},
                           {"x.wh.y", ""},
                           {".w", ""}}) {
        INFO(std::string(row.name));
        CHECK(marks::hidden_by(row.name) == row.hides);
    }
    const std::string longest(251, 'n'), too_long(252, 'n');
    CHECK(marks::AufsName(name_of(longest.c_str())).name());
    CHECK(marks::AufsName(name_of(too_long.c_str())).name().failed_with(ENAMETOOLONG));
}

TEST_CASE("marks: AUFS' form, made, found and removed") {
    ScratchDir scratch;
    const MarkRules rules{.whiteout = MarkRules::Whiteout::file};
    auto dir = open_dir(scratch.path());
    REQUIRE(marks::make_aufs_whiteout(dir, name_of("gone")));
    REQUIRE(marks::make_aufs_whiteout(dir, name_of("gone")));  // there already is as good
    CHECK(names_in(scratch.path()) == std::vector<std::string>{".wh.gone"});
    CHECK(marks::is_any_mark(dir, name_of(".wh.gone")).value());
    CHECK(marks::remove_aufs_whiteout(dir, name_of("gone")).value());
    CHECK_FALSE(marks::remove_aufs_whiteout(dir, name_of("gone")).value());
    CHECK_FALSE(marks::is_opaque(dir, rules).value());
    REQUIRE(marks::make_opaque(dir, rules));
    CHECK(marks::is_opaque(dir, rules).value());
    CHECK_FALSE(marks::is_opaque(dir, {.aufs = false}).value());
    CHECK(names_in(scratch.path()) == std::vector<std::string>{".wh..wh..opq"});
    // A file with content is none, and stays.
    write_file(scratch / ".wh.full", "content");
    CHECK(marks::make_aufs_whiteout(dir, name_of("full")).failed_with(EEXIST));
    CHECK_FALSE(marks::remove_aufs_whiteout(dir, name_of("full")).value());
    CHECK(read_file(scratch / ".wh.full") == "content");
}

TEST_CASE("marks: whiteouts as attributes count only where the directory says that it holds such") {
    ScratchDir scratch;
    const MarkRules rules{.whiteout = MarkRules::Whiteout::xattr, .user = true};
    auto dir = open_dir(scratch.path());
    write_file(scratch / "gone", "");
    REQUIRE(marks::make_xattr_whiteout(open_or_fail(scratch / "gone", O_RDWR), rules));
    CHECK(marks::has_whiteout_xattr(dir, name_of("gone"), rules).value());
    CHECK_FALSE(marks::holds_xattr_whiteouts(dir, rules).value());
    REQUIRE(marks::allow_xattr_whiteouts(dir, rules));
    CHECK(marks::holds_xattr_whiteouts(dir, rules).value());
    CHECK_FALSE(marks::is_opaque(dir, rules).value());
    REQUIRE(marks::make_opaque(dir, rules));
    REQUIRE(marks::allow_xattr_whiteouts(dir, rules));  // does not take the other mark away
    CHECK(marks::is_opaque(dir, rules).value());
    CHECK(marks::holds_xattr_whiteouts(dir, rules).value());
}

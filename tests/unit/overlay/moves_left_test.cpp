#include "overlay/moves_left.h"

#include "branches.h"
#include "overlay/move_note.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

// A file with two names that is on its way from "0" to "1": both have it, and it is noted.
struct Ground {
    explicit Ground(std::string_view modes = "ww") : set(make_branches(scratch.path(), modes)) {
        for (const auto& branch : set->all()) make_dir(branch->path() + "/d");
        write_file(from("f"), "content");
        REQUIRE(::link(from("f").c_str(), from("d/g").c_str()) == 0);
        write_file(to("f"), "content");
        copy = Sighting::of(*sys::stat_path(to("f").c_str()));
        copy.links = 0;
        REQUIRE(::link(to("f").c_str(), to("d/g").c_str()) == 0);
    }
    std::string from(const char* name) const { return scratch / ("0/" + std::string(name)); }
    std::string to(const char* name) const { return scratch / ("1/" + std::string(name)); }
    MoveNote note() const {
        const auto original = Sighting::of(*sys::stat_path(from("f").c_str()));
        const auto root = Sighting::of(*sys::stat_path((scratch / "0").c_str()));
        return {.from = scratch / "0", .from_root = root, .original = original, .copy = copy, .paths = {"f", "d/g"}};
    }
    void leave(const std::string& text) const {
        auto work = WorkDir::open(set->at(1).root(), name_of("work"));
        REQUIRE(work);
        REQUIRE((*work)->keep_note(text));
    }
    std::unique_ptr<WorkDir> open() const {
        auto work = WorkDir::open(set->at(1).root(), name_of("work"));
        REQUIRE(work);
        return std::move(*work);
    }
    // branch: that may be changed; -1: both.
    void settle(int branch = -1) const {
        settle_moves(*set, 1, *open(), [&](BranchIndex index) { return branch < 0 || index == branch; });
    }
    // "from", "to", "from to": who has the names, of all or (with a '?') of some.
    std::string who() const {
        std::string out;
        for (const char* branch : {"0", "1"}) {
            const bool f = exists(scratch / (std::string(branch) + "/f")),
                       g = exists(scratch / (std::string(branch) + "/d/g"));
            if (f || g) out += std::string(branch) + (f && g ? "" : "?");
        }
        return out;
    }
    bool is_noted() const { return !names_in(scratch / "1/work").empty(); }

    ScratchDir scratch;
    std::shared_ptr<BranchSet> set;
    Sighting copy;
};

void remove(const std::string& path) {
    REQUIRE(::unlink(path.c_str()) == 0);
}

// Also where the clock has not moved on.
void change(const std::string& path) {
    write_file(path, "more than there was");
}

}  // namespace

TEST_CASE("a note of a move is read as it was written, and not in part") {
    PLYFS_NEEDS_ROOT();
    const MoveNote note = Ground().note();
    const std::string text = note.text();
    const auto read = MoveNote::parse(text);
    REQUIRE(read);
    CHECK(*read == note);
    for (std::size_t length = 0; length < text.size(); ++length) {
        CHECK(MoveNote::parse(text.substr(0, length)).failed_with(EINVAL));
    }
    CHECK(MoveNote::parse(text + "x").failed_with(EINVAL));
}

TEST_CASE("moves left: finished where all of the copy is there") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    ground.leave(ground.note().text());
    const auto before = lstat_or_fail(ground.scratch / "0/d").st_mtime;
    SUBCASE("nothing of the original had gone") {}
    SUBCASE("some of it had") {
        remove(ground.from("f"));
    }
    ground.settle();
    CHECK(ground.who() == "1");
    CHECK_FALSE(ground.is_noted());
    CHECK(lstat_or_fail(ground.scratch / "0/d").st_mtime == before);
}

TEST_CASE("moves left: taken back where the copy is not all there, or is old") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    ground.leave(ground.note().text());
    SUBCASE("not all there") {
        remove(ground.to("f"));
    }
    SUBCASE("the original was written to") {
        change(ground.from("f"));
    }
    SUBCASE("the original got other rights") {
        REQUIRE(::chmod(ground.from("f").c_str(), 0600) == 0);
    }
    ground.settle();
    CHECK(ground.who() == "0");
    CHECK_FALSE(ground.is_noted());
}

TEST_CASE("moves left: what both sides have changed stays") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    ground.leave(ground.note().text());
    change(ground.from("f"));
    change(ground.to("f"));
    ground.settle();
    CHECK(ground.who() == "01");
    CHECK_FALSE(ground.is_noted());
}

TEST_CASE("moves left: other objects of the names are nobody's business") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    ground.leave(ground.note().text());
    SUBCASE("in the place of the copy") {
        for (const char* name : {"f", "d/g"}) {
            remove(ground.to(name));
            write_file(ground.to(name), "content");
        }
    }
    SUBCASE("in the place of the original") {
        for (const char* name : {"f", "d/g"}) {
            write_file(ground.from(name) + ".new", "content");
            REQUIRE(::rename((ground.from(name) + ".new").c_str(), ground.from(name).c_str()) == 0);
        }
    }
    ground.settle();
    CHECK(ground.who() == "01");
    CHECK_FALSE(ground.is_noted());
}

TEST_CASE("moves left: a branch that is seen loses nothing, and one that is missing is waited for") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    SUBCASE("the original's comes: its names go") {
        ground.leave(ground.note().text());
        ground.settle(0);
        CHECK(ground.who() == "1");
        CHECK_FALSE(ground.is_noted());
    }
    SUBCASE("the copy's comes: its names go") {
        ground.leave(ground.note().text());
        ground.settle(1);
        CHECK(ground.who() == "0");
        CHECK_FALSE(ground.is_noted());
    }
    SUBCASE("neither") {
        ground.leave(ground.note().text());
        ground.settle(2);
        CHECK(ground.who() == "01");
        CHECK(ground.is_noted());
    }
    SUBCASE("the original's is mounted elsewhere by now, and has it no more") {
        auto note = ground.note();
        note.from = "/elsewhere";
        note.original.inode = 1;
        ground.leave(note.text());
        ground.settle();
        CHECK(ground.who() == "01");
        CHECK_FALSE(ground.is_noted());
    }
    SUBCASE("the original's can not be changed, and not all of it is there") {
        ground.leave(ground.note().text());
        remove(ground.from("f"));
        settle_moves(*make_branches(ground.scratch.path(), "rw"), 1, *ground.open(), [](BranchIndex) { return true; });
        CHECK(ground.who() == "0?1");
        CHECK(ground.is_noted());
    }
    SUBCASE("the original's is not of this pool") {
        auto note = ground.note();
        note.from = "/elsewhere";
        note.from_root.inode = 1;
        note.original.inode = 1;
        ground.leave(note.text());
        ground.settle();
        CHECK(ground.who() == "01");
        CHECK(ground.is_noted());
    }
}

TEST_CASE("moves left: a note is ours, or none") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    SUBCASE("by another user") {
        ground.leave(ground.note().text());
        REQUIRE(::chown((ground.scratch / "1/work/" + names_in(ground.scratch / "1/work")[0]).c_str(), 1000, 0) == 0);
    }
    SUBCASE("in another user's directory") {
        ground.leave(ground.note().text());
        REQUIRE(::chown((ground.scratch / "1/work").c_str(), 1000, 0) == 0);
    }
    SUBCASE("cut off") {
        ground.leave(ground.note().text().substr(0, 30));
    }
    SUBCASE("out of the branch") {
        auto note = ground.note();
        note.paths = {"../1/f", "../1/d/g"};
        ground.leave(note.text());
    }
    ground.settle();
    CHECK(ground.who() == "01");
}

TEST_CASE("moves left: names that this mount noted are not those of an earlier one") {
    PLYFS_NEEDS_ROOT();
    Ground ground;
    ground.leave(ground.note().text());
    const auto work = ground.open();
    REQUIRE(work->earlier_notes());
    CHECK(work->earlier_notes()->size() == 1);
    REQUIRE(work->keep_note("mine"));
    CHECK(work->earlier_notes()->size() == 1);
    CHECK(names_in(ground.scratch / "1/work").size() == 2);
}

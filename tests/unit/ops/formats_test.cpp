// The operations with each form of marks in the upper: what is seen is the same, before and after a new mount, and
// nothing but marks of that form is left.
#include <stdio.h>

#include "mount.h"
#include "overlay/marks.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

using Names = std::set<std::string>;
using Whiteout = MarkRules::Whiteout;

const MarkRules kForms[] = {{.whiteout = Whiteout::device},
                            {.whiteout = Whiteout::device, .user = true, .user_leads = true},
                            {.whiteout = Whiteout::xattr},
                            {.whiteout = Whiteout::xattr, .user = true, .user_leads = true},
                            {.whiteout = Whiteout::file}};

class Formed : public Mounted {
  public:
    explicit Formed(const MarkRules& rules) : Mounted("wr"), rules_(rules) {}
    void mount() {
        auto set = make_branches(scratch.path(), modes());
        set->set_marks(rules_);
        start_with(std::move(set));
    }
    // As after a new mount: nothing is remembered.
    void mount_again() {
        forget_all();
        stop();
        mount();
    }
    bool hides(const std::string& path) const {
        const auto slash = path.rfind('/');
        const auto dir = at(0, slash == std::string::npos ? "" : path.substr(0, slash));
        const auto name = slash == std::string::npos ? path : path.substr(slash + 1);
        const bool file = exists(dir + "/.wh." + name);
        if (rules_.whiteout == Whiteout::file) return file && !exists(at(0, path));
        if (file) return false;
        if (rules_.whiteout == Whiteout::device) return is_whiteout(at(0, path));
        const char* attribute = rules_.user ? "user.overlay.whiteout" : "trusted.overlay.whiteout";
        return ::getxattr(at(0, path).c_str(), attribute, nullptr, 0) >= 0;
    }

  private:
    MarkRules rules_;
};

void in_each_form(const std::function<void(Formed&)>& fill, const std::function<void(Formed&)>& change,
                  const std::function<void(Formed&)>& check) {
    PLYFS_NEEDS_ROOT();
    for (const auto& rules : kForms) {
        INFO("form ", static_cast<int>(rules.whiteout), " user ", rules.user);
        Formed mount(rules);
        fill(mount);
        mount.mount();
        change(mount);
        check(mount);
        CHECK(mount.work_is_empty());
        mount.mount_again();
        check(mount);
    }
}

Status unlink(Formed& mount, const std::string& parent, const char* name) {
    return ops::unlink(mount.ctx(), Mounted::request(), mount.id(parent), name_of(name));
}
Status rmdir(Formed& mount, const std::string& parent, const char* name) {
    return ops::rmdir(mount.ctx(), Mounted::request(), mount.id(parent), name_of(name));
}

}  // namespace

TEST_CASE("formats: removed, made again, and removed once more") {
    in_each_form(
        [](Formed& m) {
            make_dir(m.at(1, "d"));
            make_dir(m.at(1, "d/sub"));
            write_file(m.at(1, "d/sub/old"), "old");
            for (const char* name : {"d/f", "d/g", "d/h"}) write_file(m.at(1, name), "lower");
        },
        [](Formed& m) {
            for (const char* name : {"f", "g", "h"}) REQUIRE(unlink(m, "d", name));
            REQUIRE(unlink(m, "d/sub", "old"));
            REQUIRE(rmdir(m, "d", "sub"));
            for (const char* name : {"d/f", "d/g", "d/h", "d/sub"}) CHECK(m.hides(name));
            CHECK(m.list("d").empty());
            m.create("d", "f", "new");
            REQUIRE(m.mkdir("d", "g"));
            REQUIRE(m.mkdir("d", "sub"));
            m.create("d/sub", "fresh", "fresh");
        },
        [](Formed& m) {
            CHECK(m.list("d") == Names{"f", "g", "sub"});
            CHECK(m.read("d/f") == "new");
            CHECK(m.list("d/g").empty());
            CHECK(m.list("d/sub") == Names{"fresh"});
            CHECK_FALSE(m.shows("d/sub/old"));
            CHECK_FALSE(exists(m.at(0, "d/.wh.f")));
            CHECK_FALSE(exists(m.at(0, "d/.wh.sub")));
        });
}

TEST_CASE("formats: a directory full of marks is empty, and they go with it") {
    in_each_form(
        [](Formed& m) {
            for (const char* dir : {"d", "d/e", "target"}) make_dir(m.at(1, dir));
            for (const char* name : {"d/f", "d/e/g", "target/t"}) write_file(m.at(1, name), "lower");
            make_dir(m.at(0, "new"));
            write_file(m.at(0, "new/n"), "n");
        },
        [](Formed& m) {
            CHECK(rmdir(m, "", "d").failed_with(ENOTEMPTY));
            REQUIRE(unlink(m, "d/e", "g"));
            REQUIRE(unlink(m, "d", "f"));
            REQUIRE(rmdir(m, "d", "e"));
            REQUIRE(rmdir(m, "", "d"));
            CHECK(m.hides("d"));
            CHECK_FALSE(exists(m.at(0, "d/e")));
            // Renamed over one, and to where another was removed.
            REQUIRE(unlink(m, "target", "t"));
            REQUIRE(m.rename("", "new", "", "target"));
            CHECK(m.list("") == Names{"target"});
            REQUIRE(m.rename("", "target", "", "d"));
        },
        [](Formed& m) {
            CHECK(m.list("") == Names{"d"});
            CHECK(m.list("d") == Names{"n"});
            CHECK(m.hides("target"));
            CHECK_FALSE(exists(m.at(0, ".wh.d")));
        });
}

TEST_CASE("formats: files renamed from below, over files and over marks") {
    in_each_form(
        [](Formed& m) {
            make_dir(m.at(1, "d"));
            for (const char* name : {"a", "b", "c", "d/x"}) write_file(m.at(1, name), std::string("of ") + name);
        },
        [](Formed& m) {
            REQUIRE(m.rename("", "a", "", "new"));
            REQUIRE(m.rename("", "b", "", "c"));
            REQUIRE(m.rename("", "new", "", "b"));  // where a mark is
            REQUIRE(m.rename("d", "x", "", "a"));
        },
        [](Formed& m) {
            CHECK(m.list("") == Names{"a", "b", "c", "d"});
            CHECK(m.read("a") == "of d/x");
            CHECK(m.read("b") == "of a");
            CHECK(m.read("c") == "of b");
            CHECK(m.list("d").empty());
            CHECK(m.hides("d/x"));
            for (const char* name : {".wh.a", ".wh.b", ".wh.c"}) CHECK_FALSE(exists(m.at(0, name)));
        });
}

TEST_CASE("formats: names of 252 bytes and more, and what has no room for their marks") {
    PLYFS_NEEDS_ROOT();
    for (const auto& rules : kForms) {
        for (std::size_t length : {251u, 252u, 255u}) {
            const std::string name(length, 'n');
            const bool fits = rules.whiteout != Whiteout::file || length <= 251;
            INFO("form ", static_cast<int>(rules.whiteout), " length ", length);
            Formed mount(rules);
            make_dir(mount.at(1, "d"));
            write_file(mount.at(1, "d/" + name), "lower");
            mount.mount();
            auto removed = unlink(mount, "d", name.c_str());
            auto renamed = fits ? Status{} : mount.rename("d", name.c_str(), "", "other");
            if (fits) {
                CHECK(removed);
                CHECK_FALSE(mount.shows("d/" + name));
                mount.create("d", name.c_str(), "again");
                CHECK(mount.read("d/" + name) == "again");
                continue;
            }
            CHECK(removed.failed_with(ENAMETOOLONG));
            CHECK(renamed.failed_with(ENAMETOOLONG));
            CHECK(mount.read("d/" + name) == "lower");
            CHECK(names_in(mount.at(0, "")).empty());
        }
    }
}

TEST_CASE("formats: marks of other forms in the upper give way as well") {
    PLYFS_NEEDS_ROOT();
    for (const auto& rules : kForms) {
        INFO("form ", static_cast<int>(rules.whiteout), " user ", rules.user);
        Formed mount(rules);
        for (const char* dir : {"dir-a", "dir-w"}) make_dir(mount.at(1, dir));
        for (const char* name : {"dir-a/x", "dir-w/x", "a", "w", "x", "over-a", "over-w"})
            write_file(mount.at(1, name), "lower");
        for (const char* name : {".wh.a", ".wh.dir-a", ".wh.over-a", "x"}) write_file(mount.at(0, name), "");
        for (const char* name : {"w", "dir-w", "over-w"}) make_whiteout(mount.at(0, name));
        REQUIRE(::setxattr(mount.at(0, "x").c_str(), "user.overlay.whiteout", "y", 1, 0) == 0);
        REQUIRE(::setxattr(mount.at(0, "").c_str(), "trusted.overlay.opaque", "x", 1, 0) == 0);
        make_dir(mount.at(0, "opaque"));
        make_dir(mount.at(1, "opaque"));
        write_file(mount.at(1, "opaque/x"), "lower");
        write_file(mount.at(0, "opaque/.wh..wh..opq"), "");
        mount.mount();
        CHECK(mount.list("") == Names{"opaque"});
        CHECK(mount.list("opaque").empty());
        for (const char* name : {"a", "w", "x"}) mount.create("", name, "new");
        for (const char* dir : {"dir-a", "dir-w"}) REQUIRE(mount.mkdir("", dir));
        REQUIRE(mount.rename("", "a", "", "over-a"));
        REQUIRE(mount.rename("", "w", "", "over-w"));
        for (int round = 0; round < 2; ++round) {
            CHECK(mount.list("") == Names{"dir-a", "dir-w", "opaque", "over-a", "over-w", "x"});
            for (const char* dir : {"dir-a", "dir-w", "opaque"}) CHECK(mount.list(dir).empty());
            for (const char* name : {"x", "over-a", "over-w"}) CHECK(mount.read(name) == "new");
            mount.mount_again();
        }
        for (const char* name : {".wh.dir-a", ".wh.over-a"}) CHECK_FALSE(exists(mount.at(0, name)));
        REQUIRE(rmdir(mount, "", "opaque"));
        CHECK(mount.hides("opaque"));
    }
}

TEST_CASE("formats: nobody makes a name that would be a mark") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "f"), "lower");
    write_file(mount.at(1, ".wh.content"), "a user's");
    mount.start();
    CHECK(mount.mkdir("", ".wh.f").failed_with(EINVAL));
    CHECK(mount.rename("", "f", "", ".wh.x").failed_with(EINVAL));
    const auto linked = ops::link(mount.ctx(), Mounted::request(), mount.id("f"), kRootId, name_of(".wh.y"));
    CHECK(linked.failed_with(EINVAL));
    CHECK(mount.list("") == Names{".wh.content", "f"});
    CHECK(mount.read(".wh.content") == "a user's");
    REQUIRE(mount.rename("", ".wh.content", "", "content"));
    CHECK(mount.list("") == Names{"content", "f"});
}

TEST_CASE("formats: fuse-overlayfs' notes can neither be seen nor made") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "f"), "lower");
    REQUIRE(::setxattr(mount.at(1, "f").c_str(), "user.fuseoverlayfs.origin", "o", 1, 0) == 0);
    mount.start();
    const NodeId id = mount.id("f");
    CHECK(ops::listxattr(mount.ctx(), Mounted::request(), id).value().empty());
    CHECK(ops::getxattr(mount.ctx(), id, "user.fuseoverlayfs.origin", {}).failed_with(ENODATA));
    const std::byte value[] = {std::byte{'y'}};
    CHECK(ops::setxattr(mount.ctx(), Mounted::request(), id, "user.fuseoverlayfs.opaque", value, 0).failed_with(EPERM));
}

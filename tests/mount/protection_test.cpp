// Append-only and immutable objects, of a lower and of the upper itself: what the flags forbid and what they must not
// get in the way of.
#include <unistd.h>

#include <algorithm>

#include "protection_answers.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

// Flags on a branch's own object, gone again with this.
class Flagged {
  public:
    Flagged(char flag, const std::string& path) : flag_(flag), path_(path) {
        if (!have_tool("chattr") || !have_tool("lsattr")) skip("chattr and lsattr are needed");
        Ran ran = run({"chattr", std::string("+") + flag, path});
        if (!ran.ok()) skip("no inode flags here: " + ran.err);
    }
    ~Flagged() { clear(); }
    Flagged(const Flagged&) = delete;
    Flagged& operator=(const Flagged&) = delete;
    void clear() {
        if (!path_.empty()) run({"chattr", std::string("-") + flag_, path_});
        path_.clear();
    }

  private:
    char flag_;
    std::string path_;
};

bool has_flag(const std::string& path, char flag) {
    const std::string shown = must_run({"lsattr", "-d", path}).out;
    return shown.substr(0, shown.find(' ')).find(flag) != std::string::npos;
}

void append(const std::string& path, std::string_view text) {
    UniqueFd fd = open_file(path, O_WRONLY | O_APPEND);
    CHECK(OK(::write(fd.get(), text.data(), text.size())) == static_cast<ssize_t>(text.size()));
}

void fill(const std::string& path) {
    const std::string block = pattern(1 << 16);
    for (std::size_t size = block.size(); size >= 512; size /= 2) {
        UniqueFd fd = open_file(path, O_WRONLY | O_APPEND | O_CREAT);
        while (::write(fd.get(), block.data(), size) > 0) continue;
        OK(::fsync(fd.get()) == 0 || errno == ENOSPC ? 0 : -1);
    }
}

// By us or by the kernel's own overlayfs, ended with this.
class By {
  public:
    By(Layers& tree, bool kernel, const std::string& options = "") : tree_(tree) {
        if (kernel) {
            const std::string all = tree.options() + (options.empty() ? "" : "," + options);
            overlay_ = Mounted("overlay", tree.mnt(), "overlay", 0, all);
        } else {
            tree.mount(options);
        }
    }
    ~By() {
        overlay_.reset();
        tree_.unmount();
    }

  private:
    Layers& tree_;
    Mounted overlay_;
};

constexpr const char* kMark = "trusted.overlay.protattr";

}  // namespace

TEST_CASE("protection: a lower's immutable or append-only directory takes children once it is copied up") {
    for (char flag : {'i', 'a'}) {
        CAPTURE(flag);
        Layers tree;
        make_dirs(tree.lower + "/d/sub");
        write_file(tree.lower + "/d/f", "lower");
        write_file(tree.lower + "/d/other", "lower");
        write_file(tree.lower + "/d/sub/g", "lower");
        Flagged flagged(flag, tree.lower + "/d");
        tree.mount();
        append(tree / "d/f", ", and more");
        // By now the directory lies in the upper: the next child finds it there.
        append(tree / "d/sub/g", ", and more");
        OK(::chmod((tree / "d/other").c_str(), 0600));
        // New names as overlayfs has it, which knows the directory by its flag still.
        const int wanted = flag == 'i' ? EPERM : 0;
        CHECK(try_open(tree / "d/new", O_WRONLY | O_CREAT) == wanted);
        CHECK(err_of(::mkdir((tree / "d/newdir").c_str(), 0755)) == wanted);
        std::vector<std::string> names{"f", "new", "newdir", "other", "sub"};
        if (wanted) names = {"f", "other", "sub"};
        CHECK(read_file(tree.upper + "/d/f") == "lower, and more");
        CHECK(read_file(tree.upper + "/d/sub/g") == "lower, and more");
        CHECK(list_dir(tree / "d") == names);
        CHECK_FALSE(has_flag(tree.upper + "/d", flag));
        CHECK(has_flag(tree / "d", flag));
        tree.unmount();
    }
}

TEST_CASE("protection: a copy that can not have the flag on the upper is published all the same") {
    LayersSpec spec;
    spec.upper_kind = "ramfs";
    Layers tree(spec);
    if (run({"lsattr", "-d", tree.upper}).ok()) skip("ramfs has inode flags on this kernel");
    write_file(tree.lower + "/log", "lower");
    Flagged flagged('a', tree.lower + "/log");
    tree.mount();
    append(tree / "log", ", and more");
    CHECK(read_file(tree / "log") == "lower, and more");
    CHECK(read_file(tree.upper + "/log") == "lower, and more");
    // Known by its copy, not by a failed one: the next change needs none.
    append(tree / "log", ", twice");
    CHECK(read_file(tree.upper + "/log") == "lower, and more, twice");
    tree.unmount();
}

TEST_CASE("protection: a name that can not be added to a copied-up hard link is found all the same") {
    for (bool full : {false, true}) {
        CAPTURE(full);
        LayersSpec spec;
        spec.mib = 16;
        Layers tree(spec);
        make_dirs(tree.lower + "/p");
        make_dirs(tree.lower + "/q");
        write_file(tree.lower + "/p/one", "lower");
        OK(::link((tree.lower + "/p/one").c_str(), (tree.lower + "/q/two").c_str()));
        if (!full) make_dirs(tree.upper + "/q");
        tree.mount("index=off,entry_timeout=0");
        append(tree / "p/one", ", and more");
        std::unique_ptr<Flagged> flagged;
        if (full) {
            fill(tree.work + "/ballast");
            // A write that failed may have left a block or two.
            for (int i = 0; ::mkdir((tree.work + "/more" + std::to_string(i)).c_str(), 0755) == 0; ++i) {
                REQUIRE(i < 1000);
            }
            REQUIRE(errno == ENOSPC);
        } else {
            flagged = std::make_unique<Flagged>('i', tree.upper + "/q");
        }
        CHECK(stat_of(tree / "q/two").st_ino == stat_of(tree / "p/one").st_ino);
        CHECK(read_file(tree / "q/two") == "lower, and more");
        CHECK_FALSE(exists(tree.upper + "/q/two"));
        // What is written by it would be lost to it.
        CHECK(try_open(tree / "q/two", O_WRONLY) == (full ? ENOSPC : 0));
        // With room and right again the next lookup adds it.
        flagged.reset();
        if (full) OK(::unlink((tree.work + "/ballast").c_str()));
        CHECK(read_file(tree / "q/two") == "lower, and more");
        CHECK(stat_of(tree.upper + "/q/two").st_ino == stat_of(tree.upper + "/p/one").st_ino);
        tree.unmount();
    }
}

TEST_CASE("protection: flags forbid what they forbid in overlayfs whoever gave them") {
    need_privilege("trusted attributes and the kernel's overlayfs");
    for (std::string options : {"redirect_dir=off,metacopy=off,index=off", "redirect_dir=on,metacopy=on,index=on"}) {
        std::vector<std::string> expected;
        for (bool made_by_kernel : {true, false}) {
            for (bool used_by_kernel : {true, false}) {
                CAPTURE(options);
                CAPTURE(made_by_kernel);
                CAPTURE(used_by_kernel);
                Layers tree;
                make_dirs(tree.lower + "/below");
                make_objects(tree.lower + "/below");
                protect(tree.lower + "/below");
                {
                    By by(tree, made_by_kernel, options);
                    make_dirs(tree / "above");
                    make_objects(tree / "above");
                    protect(tree / "above");
                    append(tree / "below/grows", "+");
                }
                By by(tree, used_by_kernel, options);
                auto said = answers(tree / "above");
                for (auto& more : answers(tree / "below")) said.push_back(std::move(more));
                if (expected.empty()) expected = said;
                CHECK(said.size() == expected.size());
                for (std::size_t i = 0; i < std::min(said.size(), expected.size()); ++i) CHECK(said[i] == expected[i]);
            }
        }
    }
}

TEST_CASE("protection: flags are marks of the upper which its inodes do not have") {
    need_privilege("inode flags");
    for (bool user : {false, true}) {
        CAPTURE(user);
        Layers tree;
        write_file(tree.lower + "/log", "lower");
        Flagged flagged('a', tree.lower + "/log");
        tree.mount(user ? "userxattr" : "");
        const std::string mark = user ? "user.overlay.protattr" : kMark;
        append(tree / "log", ", and more");
        CHECK(get_xattr(tree.upper + "/log", mark) == "a");
        CHECK_FALSE(has_flag(tree.upper + "/log", 'a'));
        write_file(tree / "new", "new");
        must_run({"chattr", "+i", tree / "new"});
        CHECK(get_xattr(tree.upper + "/new", mark) == "i");
        CHECK_FALSE(has_flag(tree.upper + "/new", 'i'));
        CHECK(get_xattr(tree / "new", mark) == "(none)");
        must_run({"chattr", "+a", tree / "new"});
        CHECK(get_xattr(tree.upper + "/new", mark) == "ai");
        tree.unmount();
        tree.mount(user ? "userxattr" : "");
        CHECK(has_flag(tree / "new", 'a'));
        must_run({"chattr", "-i", "-a", tree / "new"});
        CHECK(get_xattr(tree.upper + "/new", mark) == "(none)");
        tree.unmount();
    }
}

TEST_CASE("protection: marks that are not overlayfs' protect nothing and lower marks are not asked") {
    need_privilege("trusted attributes");
    Layers tree;
    for (const std::string& value : std::vector<std::string>{"", "x", "ix", "i i", std::string(33, 'i')}) {
        write_file(tree.upper + "/is " + value, "upper");
        set_xattr(tree.upper + "/is " + value, kMark, value);
    }
    write_file(tree.upper + "/many", "upper");
    set_xattr(tree.upper + "/many", kMark, std::string(32, 'i'));
    write_file(tree.lower + "/below", "lower");
    set_xattr(tree.lower + "/below", kMark, "i");
    for (bool kernel : {true, false}) {
        CAPTURE(kernel);
        By by(tree, kernel);
        for (const std::string& name : list_dir(tree.mnt())) {
            CAPTURE(name);
            CHECK(has_flag(tree / name, 'i') == (name == "many"));
            CHECK(try_open(tree / name, O_WRONLY) == (name == "many" ? EPERM : 0));
        }
        CHECK(get_xattr(tree.upper + "/below", kMark) == "(none)");
    }
}

TEST_CASE("protection: flags that the upper's own inode has are shown and taken away") {
    need_privilege("inode flags");
    Layers tree;
    for (std::string name : {"i", "ai", "mixed"}) write_file(tree.upper + "/" + name, "upper");
    set_xattr(tree.upper + "/mixed", kMark, "i");
    must_run({"chattr", "+i", tree.upper + "/i"});
    must_run({"chattr", "+a", "+i", tree.upper + "/ai"});
    must_run({"chattr", "+a", tree.upper + "/mixed"});
    tree.mount();
    for (std::string name : {"i", "ai", "mixed"}) {
        CAPTURE(name);
        CHECK(has_flag(tree / name, 'i'));
        CHECK(has_flag(tree / name, 'a') == (name != "i"));
        FAILS(EPERM, ::chmod((tree / name).c_str(), 0600));
        must_run({"chattr", "-i", tree / name});
        CHECK_FALSE(has_flag(tree / name, 'i'));
        append(tree / name, ", and more");
        must_run({"chattr", "+a", tree / name});
        FAILS(EPERM, ::unlink((tree / name).c_str()));
        must_run({"chattr", "-a", tree / name});
        OK(::unlink((tree / name).c_str()));
    }
    tree.unmount();
}

TEST_CASE("protection: a name that lies below is as free as the copy it is a name of") {
    need_privilege("inode flags");
    for (std::string options : {"index=on", "index=on,redirect_dir=on,metacopy=on"}) {
        for (bool kernel : {true, false}) {
            CAPTURE(options);
            CAPTURE(kernel);
            Layers tree;
            write_file(tree.lower + "/one", "lower");
            for (const char* name : {"two", "three", "four"})
                OK(::link((tree.lower + "/one").c_str(), (tree.lower + "/" + name).c_str()));
            must_run({"chattr", "+i", tree.lower + "/one"});
            {
                By by(tree, kernel, options);
                must_run({"chattr", "-i", tree / "one"});
                OK(::chmod((tree / "two").c_str(), 0600));
                OK(::unlink((tree / "three").c_str()));
                must_run({"chattr", "+i", tree / "one"});
                FAILS(EPERM, ::unlink((tree / "four").c_str()));
            }
            By by(tree, kernel, options);
            CHECK(has_flag(tree / "four", 'i'));
            FAILS(EPERM, ::unlink((tree / "four").c_str()));
            FAILS(EPERM, ::link((tree / "four").c_str(), (tree / "five").c_str()));
            must_run({"chattr", "-i", tree / "four"});
            write_file(tree / "two", "new");
            OK(::unlink((tree / "four").c_str()));
            CHECK(read_file(tree / "one") == "new");
        }
    }
}

TEST_CASE("protection: a change of flags shows in the times at once") {
    need_privilege("inode flags");
    in_both_modes([](Tree& tree) {
        write_file(tree / "new", "text");
        const auto ctime = [&] { return ns(stat_of(tree / "new").st_ctim); };
        long long before = ctime();
        for (char flag : {'d', 'a', 'i'}) {
            CAPTURE(flag);
            nap(5);
            Flagged flagged(flag, tree / "new");
            CHECK(ctime() > before);
            before = ctime();
            nap(5);
            flagged.clear();
            CHECK(ctime() > before);
            before = ctime();
        }
    });
}

TEST_CASE("protection: what a pool's directory forbids holds in all its parts") {
    need_privilege("inode flags");
    Pool pool;
    make_dirs(pool.a + "/d/sub_a");
    make_dirs(pool.b + "/d/sub_b");
    write_file(pool.a + "/d/on_a", "a");
    write_file(pool.b + "/d/on_b", "b");
    pool.mount();
    Flagged flagged('i', pool / "d");
    for (const char* name : {"on_a", "on_b"}) {
        CAPTURE(name);
        const std::string path = pool / "d/" + name;
        FAILS(EPERM, ::unlink(path.c_str()));
        FAILS(EPERM, ::rename(path.c_str(), (path + ".new").c_str()));
        FAILS(EPERM, ::link(path.c_str(), (path + ".new").c_str()));
        CHECK(try_open(path + ".new", O_WRONLY | O_CREAT) == EPERM);
    }
    for (const char* name : {"sub_a", "sub_b"}) FAILS(EPERM, ::rmdir((pool / "d/" + name).c_str()));
    flagged.clear();
    CHECK_FALSE(has_flag(pool.b + "/d", 'i'));
    OK(::unlink((pool / "d/on_b").c_str()));
    pool.unmount();
}

TEST_CASE("protection: a new part of a pool's directory forbids what the others do") {
    need_privilege("inode flags");
    Pool pool;
    for (const char* dir : {"/kept", "/log"}) make_dirs(pool.a + dir);
    pool.mount("create=mfs");
    write_file(pool.a + "/ballast", std::string(1 << 20, 'x'));  // and b has most space: what is made goes to it
    Flagged kept('i', pool / "kept");
    Flagged log('a', pool / "log");
    CHECK(try_open(pool / "kept/new", O_WRONLY | O_CREAT) == EPERM);
    CHECK_FALSE(exists(pool.b + "/kept"));
    write_file(pool / "log/new", "text");
    CHECK(exists(pool.b + "/log/new"));
    CHECK(has_flag(pool.b + "/log", 'a'));
    FAILS(EPERM, ::unlink((pool / "log/new").c_str()));
    const Flagged second('a', pool.b + "/log");  // gone again with this
    log.clear();
    OK(::unlink((pool / "log/new").c_str()));
    pool.unmount();
}

TEST_CASE("protection: in a pool flags are its branches' own") {
    need_privilege("inode flags");
    Pool pool;
    pool.mount();
    write_file(pool / "new", "new");
    must_run({"chattr", "+i", pool / "new"});
    CHECK(has_flag(pool.a + "/new", 'i'));
    CHECK(get_xattr(pool.a + "/new", kMark) == "(none)");
    must_run({"chattr", "-i", pool / "new"});
    pool.unmount();
}

TEST_CASE("protection: whoever may write appends to a pool's append-only file, also through the daemon") {
    Pool tree;
    for (std::string how : {"", "passthrough=off"}) {
        CAPTURE(how);
        tree.mount(how);
        const std::string path = tree / ("log" + how.substr(0, 4));
        write_file(path, "one");
        OK(::chmod(path.c_str(), 0666));
        Flagged flagged('a', path);
        CHECK(as_user({.uid = 1000, .gid = 1000}, [&] {
                  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
                  return fd.valid() && ::write(fd.get(), ", two", 5) == 5 ? 0 : errno;
              }) == 0);
        CHECK(read_file(path) == "one, two");
        flagged.clear();
        tree.unmount();
    }
}

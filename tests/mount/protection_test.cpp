// Append-only and immutable objects, of a lower and of the upper itself: what the flags forbid and what they must not
// get in the way of.
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
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
        write_file(tree / "d/new", "new");
        OK(::mkdir((tree / "d/newdir").c_str(), 0755));
        CHECK(read_file(tree.upper + "/d/f") == "lower, and more");
        CHECK(read_file(tree.upper + "/d/sub/g") == "lower, and more");
        CHECK(list_dir(tree / "d") == std::vector<std::string>{"f", "new", "newdir", "other", "sub"});
        CHECK_FALSE(has_flag(tree.upper + "/d", flag));
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
            FAILS(ENOSPC, ::mkdir((tree.upper + "/never").c_str(), 0755));
        } else {
            flagged = std::make_unique<Flagged>('i', tree.upper + "/q");
        }
        CHECK(stat_of(tree / "q/two").st_ino == stat_of(tree / "p/one").st_ino);
        CHECK(read_file(tree / "q/two") == "lower, and more");
        CHECK_FALSE(exists(tree.upper + "/q/two"));
        // With room and right again the next lookup adds it.
        flagged.reset();
        if (full) OK(::unlink((tree.work + "/ballast").c_str()));
        CHECK(read_file(tree / "q/two") == "lower, and more");
        CHECK(stat_of(tree.upper + "/q/two").st_ino == stat_of(tree.upper + "/p/one").st_ino);
        tree.unmount();
    }
}

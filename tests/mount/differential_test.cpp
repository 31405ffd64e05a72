// Random operations, each done twice: through the mount and in a plain directory of one file system. Both
// must answer alike, and both trees must look alike, now and then, after a new mount, and (layers) through
// the kernel's overlayfs. PLYFS_TEST_SEED=N runs that one seed; a failure prints the operations that led to
// it.
#include <linux/fs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <deque>
#include <random>

#include "support/check.h"
#include "support/files.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr int kSeeds = 5, kSteps = 500, kLookEvery = 50;

TreeDigest look(const std::string& root) {
    return TreeDigest::of(root, {.identity = false, .dir_details = false, .trusted = false, .mtimes = false});
}

void prefill(const std::string& root, unsigned part) {
    for (std::string dir : {"/d0", "/d1", "/d0/d2", "/d1/d3"}) make_dirs(root + dir);
    for (std::string dir : {"", "/d0", "/d1", "/d0/d2"})
        for (unsigned i = 0; i < 4; i++)
            if (i % 2 == part % 2)
                write_file(root + dir + "/f" + std::to_string(i), pattern(200000 * (i % 3) + 100, i));
    OK(::symlink("d0/f0", (root + "/s" + std::to_string(part)).c_str()));
    make_dirs(root + "/d1/only" + std::to_string(part));
}

class Pair {
  public:
    Pair(const std::string& mnt, const std::string& model, unsigned seed, bool layered)
        : roots_{mnt, model}, random_(seed), layered_(layered) {}

    // One operation on both; false when they differ.
    bool step() {
        std::string a = name(), b = name();
        unsigned value = random_() % 1000;
        switch (random_() % 16) {
            case 0:
            case 1:
                return both("create " + a, [&](auto& r) { return create(r + a, value, O_CREAT | O_EXCL); });
            case 2:
                return both("write " + a, [&](auto& r) { return create(r + a, value, 0); });
            case 3:
                return both("truncating open " + a, [&](auto& r) { return create(r + a, value, O_CREAT | O_TRUNC); });
            case 4:
                return both("truncate " + a, [&](auto& r) { return err_of(::truncate((r + a).c_str(), value)); });
            case 5:
                return both("unlink " + a, [&](auto& r) { return err_of(::unlink((r + a).c_str())); });
            case 6:
                return both("mkdir " + a, [&](auto& r) { return err_of(::mkdir((r + a).c_str(), 0700 + value % 64)); });
            case 7:  // rarely: the tree is to grow
                return both((value < 250 ? "rmdir " : "mkdir ") + a, [&](auto& r) {
                    return value < 250 ? err_of(::rmdir((r + a).c_str())) : err_of(::mkdir((r + a).c_str(), 0755));
                });
            case 8:
            case 9:
                return rename(a, b, 0);
            case 10:
                return rename(a, b, value % 2 ? RENAME_EXCHANGE : RENAME_NOREPLACE);
            case 11:
                return both("link " + a + " " + b,
                            [&](auto& r) { return err_of(::link((r + a).c_str(), (r + b).c_str())); });
            case 12:
                return both("symlink " + a, [&](auto& r) { return err_of(::symlink(b.c_str(), (r + a).c_str())); });
            case 13:
                return both("chmod " + a, [&](auto& r) { return err_of(::chmod((r + a).c_str(), value)); });
            case 14:
                return both("lchown " + a, [&](auto& r) { return err_of(::lchown((r + a).c_str(), value, 7)); });
            default:
                return both("setxattr " + a, [&](auto& r) {
                    std::string text = std::to_string(value);
                    return err_of(::lsetxattr((r + a).c_str(), "user.x", text.data(), text.size(), 0));
                });
        }
    }

    std::string story() const {
        std::string text;
        for (const std::string& line : story_) text += line + "\n";
        return text;
    }

  private:
    std::string name() {
        static const char* dirs[] = {"/", "/d0/", "/d1/", "/d0/d2/", "/d1/d3/", "/n0/", "/d0/n1/"};
        static const char* leaves[] = {"f0", "f1", "f2", "f3", "d0", "d1", "d2", "d3", "n0", "n1", "s0", "only0"};
        return std::string(dirs[random_() % 7]) + leaves[random_() % 12];
    }

    bool both(const std::string& what, const std::function<int(const std::string&)>& act) {
        int errs[2] = {act(roots_[0]), act(roots_[1])};
        tell(what, errs);
        return errs[0] == errs[1];
    }
    void tell(const std::string& what, const int errs[2]) {
        std::string result = errs[0] == errs[1] ? errno_words(errs[0])
                                                : "mount " + errno_words(errs[0]) + " - model " + errno_words(errs[1]);
        story_.push_back(what + ": " + result.substr(0, result.find(':', errs[0] == errs[1] ? 0 : 200)));
        if (story_.size() > 60) story_.pop_front();
    }

    static int create(const std::string& path, unsigned value, int flags) {
        int fd = ::open(path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0) return errno;
        std::string bytes = pattern(value + 1, value);
        int err = ::pwrite(fd, bytes.data(), bytes.size(), value) == static_cast<ssize_t>(bytes.size()) ? 0 : errno;
        ::close(fd);
        return err;
    }

    // EXDEV is allowed where overlayfs gives it (directories with something below) and where a pool can not
    // exchange across disks; the model is then put back.
    bool rename(const std::string& a, const std::string& b, unsigned flags) {
        std::string what = "rename " + a + " " + b + " " + std::to_string(flags);
        struct stat from {
        }, to{};
        bool dir = ::lstat((roots_[1] + a).c_str(), &from) == 0 && S_ISDIR(from.st_mode);
        if (dir && !(flags & RENAME_EXCHANGE) && ::lstat((roots_[1] + b).c_str(), &to) == 0) flags = RENAME_NOREPLACE;
        dir = dir || ((flags & RENAME_EXCHANGE) && ::lstat((roots_[1] + b).c_str(), &to) == 0 && S_ISDIR(to.st_mode));
        auto act = [&](const std::string& r, const std::string& x, const std::string& y) {
            return err_of(::renameat2(AT_FDCWD, (r + x).c_str(), AT_FDCWD, (r + y).c_str(), flags));
        };
        int errs[2] = {act(roots_[0], a, b), act(roots_[1], a, b)};
        tell(what, errs);
        if (errs[0] == errs[1]) return true;
        bool may = errs[0] == EXDEV && errs[1] == 0 && (layered_ ? dir : (flags & RENAME_EXCHANGE) != 0 || dir);
        return may && act(roots_[1], b, a) == 0;
    }

    std::string roots_[2];
    std::minstd_rand random_;
    bool layered_;
    std::deque<std::string> story_;
};

void run_seed(Tree& tree, const std::string& model, unsigned seed, const std::string& options) {
    Pair pair(tree.mnt(), model, seed, tree.layered());
    for (int step = 0; step < kSteps; step++) {
        bool same = pair.step();
        std::string difference;
        if (same && step % kLookEvery == kLookEvery - 1) difference = look(tree.mnt()).difference(look(model));
        if (same && difference.empty()) continue;
        INFO("seed ", seed, ", step ", step, "\n", difference, "operations:\n", pair.story());
        REQUIRE_MESSAGE(false, "mount (first) and model (second) differ");
    }
    tree.unmount();
    tree.mount(options);
    INFO("seed ", seed, " after a new mount, operations:\n", pair.story());
    REQUIRE(look(tree.mnt()).difference(look(model)) == "");
}

// Other readers of what was written: the kernel, or fuse-overlayfs.
void compare_reader(Layers& tree, const std::string& model, const std::string& reader, const std::string& options) {
    tree.unmount();
    INFO(reader, " with ", options, " (first), model (second)");
    if (reader == "overlay") {
        need_privilege("overlayfs with redirects and trusted.*");
        Mounted overlay("overlay", tree.mnt(), "overlay", 0, tree.options() + ",metacopy=off" + options);
        CHECK(look(tree.mnt()).difference(look(model)) == "");
    } else if (have_tool(reader)) {
        FuseOverlayfs other(tree.options() + options, tree.mnt());
        CHECK(look(tree.mnt()).difference(look(model)) == "");
    } else {
        MESSAGE(reader << " is not installed");
    }
}

struct Format {
    std::string options = {};
    std::string reader = "overlay";
    std::string reader_options = {};
    unsigned seeds = kSeeds;
    bool nested = false;  // the upper lies in another layered mount, which holds no devices 0:0
};

// A layered mount for the upper of another.
class Nest {
  public:
    explicit Nest(Layers& tree)
        : disk_("ext4", tree.scratch().path(), "nest", 64),
          mount_("lowerdir=" + disk_.dir("lower") + ",upperdir=" + disk_.dir("upper") + ",workdir=" + disk_.dir("work"),
                 "", tree.scratch().dir("nested")) {
        tree.upper = mount_ / "upper";
        tree.work = mount_ / "work";
        make_dirs(tree.upper);
        make_dirs(tree.work);
    }

  private:
    LoopFs disk_;
    Mount mount_;
};

void run_seeds(bool layered, const Format& format = {}) {
    const char* chosen = std::getenv("PLYFS_TEST_SEED");
    unsigned first = chosen ? static_cast<unsigned>(std::atoi(chosen)) : 1;
    for (unsigned seed = first; seed < first + (chosen ? 1 : format.seeds); seed++) {
        set_deadline(90, "differential seed " + std::to_string(seed));
        std::unique_ptr<Tree> tree;
        if (layered)
            tree = std::make_unique<Layers>();
        else
            tree = std::make_unique<Pool>();
        std::unique_ptr<Nest> nest;
        if (format.nested) nest = std::make_unique<Nest>(static_cast<Layers&>(*tree));
        LoopFs plain("ext4", tree->scratch().path(), "plain", 64);
        std::string model = plain.dir("model");
        std::string second = layered ? static_cast<Layers&>(*tree).lower2 : static_cast<Pool&>(*tree).a;
        prefill(tree->below(), 0);
        prefill(second, 1);
        prefill(model, 0);
        OK(::unlink((model + "/s0").c_str()));
        prefill(model, 1);
        OK(::symlink("d0/f0", (model + "/s0").c_str()));
        tree->mount(format.options);
        REQUIRE(look(tree->mnt()).difference(look(model)) == "");
        run_seed(*tree, model, seed, format.options);
        if (layered && !format.nested) {
            compare_reader(static_cast<Layers&>(*tree), model, format.reader, format.reader_options);
        }
        tree->unmount();
    }
}

}  // namespace

TEST_CASE("differential: random operations in layers and in a plain directory") {
    run_seeds(true);
}
TEST_CASE("differential: with marks in user.overlay.*") {
    // The kernel follows no redirects in user.overlay.*.
    run_seeds(true, {"upper-format=overlay-user,redirect_dir=off", "overlay", ",userxattr", 3});
}
TEST_CASE("differential: with AUFS' marks") {
    run_seeds(true, {"upper-format=aufs", "fuse-overlayfs", "", 3});
}
TEST_CASE("differential: with an upper in another layered mount, whiteouts as attributes") {
    run_seeds(true, {.seeds = 3, .nested = true});
}
TEST_CASE("differential: random operations in a pool and in a plain directory") {
    run_seeds(false);
}

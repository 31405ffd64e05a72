// The names of read-only layers are read once and known then; what is found, hidden and listed is the same as when
// every layer is asked for every name, which a mount does that remembers nothing.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>

#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"

using namespace plyfs::test;

namespace {

using List = std::vector<std::string>;

constexpr int kLayers = 6;
// Names of files and directories alike, so that one takes the place of the other.
const List kNames = {"a", "b", "c", "d", "e", "long-name-of-a-file", "E", "\xc3\xa9"};
// Everything that can exist, two levels deep.
List all_paths() {
    List out;
    for (const auto& one : kNames) {
        out.push_back(one);
        for (const auto& two : kNames) out.push_back(one + "/" + two);
    }
    return out;
}
const List kPaths = all_paths();

class Chance {
  public:
    explicit Chance(unsigned seed) : generator_(seed) {}
    int below(int n) { return static_cast<int>(generator_() % static_cast<unsigned>(n)); }
    const std::string& of(const List& list) {
        return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
    }

  private:
    std::mt19937 generator_;
};

void put_whiteout(Chance& chance, const std::string& dir, const std::string& name) {
    const std::string path = dir + "/" + name;
    switch (chance.below(3)) {
        case 0:
            OK(::mknod(path.c_str(), S_IFCHR | 0600, makedev(0, 0)));
            return;
        case 1:
            write_file(dir + "/.wh." + name, "");
            return;
        default:
            write_file(path, "");
            set_xattr(path, "trusted.overlay.whiteout", "y");
            set_xattr(dir, "trusted.overlay.opaque", "x");
    }
}

// What a redirect leads to lies below under a name of its own, which is hidden where the redirect is, as whoever
// renames does it: no object has two places.
void redirect(Chance& chance, const std::string& dir, const std::string& name, bool at_root) {
    const bool absolute = at_root && chance.below(2);
    set_xattr(dir + "/" + name, "trusted.overlay.redirect", (absolute ? "/moved-" : "moved-") + name);
    OK(::mknod((dir + "/moved-" + name).c_str(), S_IFCHR | 0600, makedev(0, 0)));
}

void fill_layer(Chance& chance, const std::string& dir, int layer, bool at_root) {
    const std::string text = "layer " + std::to_string(layer) + " ";
    for (const auto& name : kNames) {
        const std::string path = dir + "/" + name;
        const int what = chance.below(20);
        bool redirected = false;
        if (what < 4) {
            write_file(path, text + name);
        } else if (what < 6) {
            put_whiteout(chance, dir, name);
        } else if (what < 7) {
            write_file(path, std::string(7, '\0'));
            set_xattr(path, "trusted.overlay.metacopy", "");
            redirected = chance.below(2);
        } else if (what < 14 && at_root) {
            make_dirs(path);
            fill_layer(chance, path, layer, false);
            const int mark = chance.below(6);
            if (mark == 0) set_xattr(path, "trusted.overlay.opaque", "y");
            if (mark == 1) write_file(path + "/.wh..wh..opq", "");
            redirected = mark > 3;
        }
        if (redirected) {
            redirect(chance, dir, name, at_root);
        } else if (chance.below(3) == 0) {
            write_file(dir + "/moved-" + name, text + "moved " + name);
        } else if (at_root && chance.below(2)) {
            make_dirs(dir + "/moved-" + name);
            fill_layer(chance, dir + "/moved-" + name, layer, false);
        }
    }
}

// A layer may have what can not be listed: content that is nowhere.
std::string list(const std::string& path) {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return errno_words(errno);
    List names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir)) names.emplace_back(entry->d_name);
    std::string out = errno ? errno_words(errno) : "";
    ::closedir(dir);
    if (!out.empty()) return out;
    std::sort(names.begin(), names.end());
    for (const auto& name : names) out += " " + name;
    return out;
}

std::string look(const std::string& path) {
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) return errno_words(errno);
    if (S_ISDIR(st.st_mode)) return "dir" + list(path);
    return "type " + std::to_string(st.st_mode) + " size " + std::to_string(st.st_size) + " " + read_file(path);
}

// By name first, so that what is listed can not have prepared it.
List see(const std::string& root) {
    List out;
    for (const auto& path : kPaths) {
        struct stat st;
        out.push_back(path + ": " + (::lstat((root + "/" + path).c_str(), &st) == 0 ? "there" : errno_words(errno)));
    }
    for (const auto& path : kPaths) {
        const int e = try_open(root + "/" + path, O_RDONLY | O_NONBLOCK);
        out.push_back(path + ": " + (e ? errno_words(e) : look(root + "/" + path)));
    }
    out.push_back(look(root));
    return out;
}

std::string difference(const List& a, const List& b) {
    std::string out;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i]) out += a[i] + " | " + b[i] + "\n";
    }
    return out;
}

// Until the names of every directory are known, by lookups or by listing.
std::vector<UniqueFd> warm_up(Chance& chance, const std::string& root) {
    List dirs = {root};
    for (const auto& name : kNames) dirs.push_back(root + "/" + name);
    std::vector<UniqueFd> held;
    for (const auto& dir : dirs) {
        const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY);
        if (fd < 0) continue;
        held.emplace_back(fd);
        if (chance.below(2)) list(dir);
        for (int i = 0; i < 12 * kLayers; ++i) CHECK_FALSE(exists(dir + "/missing" + std::to_string(i)));
    }
    return held;
}

// A metacopy whose content is nowhere.
bool is_broken(const std::string& path) {
    struct stat st;
    return ::lstat(path.c_str(), &st) != 0 && errno == EIO;
}

std::string change(const std::string& root, int what, const std::string& one, const std::string& two) {
    const std::string a = root + "/" + one;
    const std::string b = root + "/" + two;
    int rc = 0;
    switch (what) {
        case 0:
            rc = ::unlink(a.c_str());
            break;
        case 1:
            rc = ::rmdir(a.c_str());
            break;
        case 2:
            rc = ::mkdir(a.c_str(), 0755);
            break;
        case 3:
        case 4:
            rc = ::rename(a.c_str(), b.c_str());
            break;
        case 5:
            rc = ::chmod(a.c_str(), 0700);
            break;
        default: {
            const UniqueFd fd(::open(a.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644));
            rc = fd.valid() && ::write(fd.get(), "more", 4) == 4 ? 0 : -1;
        }
    }
    return rc == 0 ? "done" : errno_words(errno);
}

}  // namespace

TEST_CASE("layer names: what is found is what asking every layer finds, before and after changes") {
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 64);
    for (unsigned seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Chance chance(seed);
        const std::string base = disk.dir("s" + std::to_string(seed));
        std::string lowers;
        for (int i = 0; i < kLayers; ++i) {
            const std::string dir = base + "/l" + std::to_string(i);
            make_dirs(dir);
            fill_layer(chance, dir, i, true);
            lowers += (i ? ":" : "") + dir;
        }
        const auto start = [&](const std::string& name, const std::string& more) {
            for (const char* sub : {"/upper", "/work", "/mnt"}) make_dirs(base + "/" + name + sub);
            const std::string own = base + "/" + name;
            return std::make_unique<Mount>(
                "lowerdir=" + lowers + ",upperdir=" + own + "/upper,workdir=" + own + "/work,metacopy=on" + more, "",
                own + "/mnt");
        };
        auto asking = start("asking", ",timeout=0");
        auto knowing = start("knowing", "");
        auto held = warm_up(chance, knowing->path());
        CHECK(difference(see(asking->path()), see(knowing->path())) == "");
        for (int i = 0; i < 60; ++i) {
            const int what = chance.below(8);
            const std::string& one = chance.of(kPaths);
            const std::string& two = chance.of(kPaths);
            // Whether it can be removed depends on whether it was looked at since.
            if (is_broken(asking->path() + "/" + one) || is_broken(asking->path() + "/" + two)) continue;
            CAPTURE(what);
            CAPTURE(one);
            CAPTURE(two);
            const std::string asked = change(asking->path(), what, one, two);
            REQUIRE(asked == change(knowing->path(), what, one, two));
        }
        held.clear();
        held = warm_up(chance, knowing->path());
        plyfs::test::drop_caches();
        CHECK(difference(see(asking->path()), see(knowing->path())) == "");
    }
}

TEST_CASE("layer names: a directory that folds cases finds each spelling") {
    if (!exists("/sys/fs/ext4/features/casefold")) skip("this kernel's ext4 folds no cases");
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 64, {"-O", "casefold"});
    for (const char* dir : {"folding", "plain", "upper", "work"}) disk.dir(dir);
    make_dirs(disk / "folding/sub");
    make_dirs(disk / "plain/sub");
    if (run({"chattr", "+F", disk / "folding/sub"}).code != 0) skip("no case folding here");
    write_file(disk / "folding/sub/foo", "foo");
    write_file(disk / "folding/sub/\xc3\xa9", "e");
    write_file(disk / "plain/sub/bar", "bar");
    Mount mount("lowerdir=" + disk / "plain" + ":" + disk / "folding" + ",upperdir=" + disk / "upper" +
                    ",workdir=" + disk / "work",
                "", scratch.dir("mnt"));
    CHECK(list_dir(mount / "sub").size() == 3);
    for (int i = 0; i < 100; ++i) CHECK_FALSE(exists(mount / "sub/missing" + std::to_string(i)));
    CHECK(read_file(mount / "sub/FOO") == "foo");
    CHECK(read_file(mount / "sub/\xc3\x89") == "e");
    CHECK(read_file(mount / "sub/bar") == "bar");
    CHECK_FALSE(exists(mount / "sub/BAR"));
}

TEST_CASE("layer names: they cost no system call once known, whatever the number of layers") {
    Scratch scratch;
    LoopFs disk("tmpfs", scratch.path(), "disk", 64);
    std::string lowers;
    for (int i = 0; i < 40; ++i) {
        make_dirs(disk / "l" + std::to_string(i) + "/d");
        write_file(disk / "l" + std::to_string(i) + "/d/f" + std::to_string(i), "");
        lowers += (i ? ":" : "") + (disk / "l" + std::to_string(i));
    }
    Mount mount("lowerdir=" + lowers, "", scratch.dir("mnt"));
    for (int i = 0; i < 40; ++i) CHECK_FALSE(exists(mount / "d/warm" + std::to_string(i)));
    // A name that comes to a layer behind our back is a witness: who does not ask does not see it.
    write_file(disk / "l7/d/late", "");
    CHECK_FALSE(exists(mount / "d/late"));
    CHECK(list_dir(mount / "d").size() >= 40);
    for (int i = 0; i < 40; ++i) CHECK(exists(mount / "d/f" + std::to_string(i)));
}

TEST_CASE("layer names: removing and renaming ask no layer either") {
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    LoopFs disk("tmpfs", scratch.path(), "disk", 64);
    for (const char* dir : {"one/d", "two/d", "upper", "work"}) make_dirs(disk / dir);
    Mount mount(
        "lowerdir=" + disk / "one" + ":" + disk / "two" + ",upperdir=" + disk / "upper" + ",workdir=" + disk / "work",
        "", scratch.dir("mnt"));
    for (int i = 0; i < 40; ++i) CHECK_FALSE(exists(mount / "d/warm" + std::to_string(i)));
    for (const char* name : {"removed", "moved"}) {
        write_file(mount / "d/" + name, "");
        // A witness: who asks the layer has to hide it.
        write_file(disk / "two/d/" + name, "");
    }
    OK(::unlink((mount / "d/removed").c_str()));
    OK(::rename((mount / "d/moved").c_str(), (mount / "d/to").c_str()));
    CHECK(list_dir(disk / "upper/d") == List{"to"});
}

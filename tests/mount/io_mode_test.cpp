// The matrix of open files: every pair of "held" and "new" that the daemon's decision can bring about. No
// open may fail for the mode of another, no reader may see a mixture, no lower file may change.
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

const std::string kOld = pattern(600000, 3);  // larger than anything that might be served cached for being small
const std::string kHead = "NEW CONTENT";

std::unique_ptr<Layers> layers(const std::string& options = "") {
    auto tree = std::make_unique<Layers>();
    make_dirs(tree->lower + "/d1/d2/d3");
    write_file(tree->lower + "/f", kOld);
    write_file(tree->lower + "/d1/d2/d3/g", kOld);
    OK(::link((tree->lower + "/f").c_str(), (tree->lower + "/link").c_str()));
    tree->mount(options);
    return tree;
}

std::string head_of(int fd) {
    return read_fd(fd, 0, kHead.size());
}
std::string head_of(const std::string& path) {
    return read_fd(open_file(path, O_RDONLY).get(), 0, kHead.size());
}
const std::string kOldHead = kOld.substr(0, kHead.size());

}  // namespace

TEST_CASE("io mode: reader held, reader comes - one backing serves both") {
    auto tree = layers();
    Counter count(tree->mnt());
    UniqueFd a = open_file(*tree / "f", O_RDONLY), b = open_file(*tree / "link", O_RDONLY);
    CHECK(read_fd(a.get()) == kOld);
    CHECK(read_fd(b.get()) == kOld);
    CHECK(count.served() == 0);
    CHECK(count("opens.passthrough") == (is_standin() ? 0 : 2));
    CHECK(count("backings.opened") == (is_standin() ? 0 : 1));
}

TEST_CASE("io mode: reader held, writer comes - the writer passes through to the upper, the reader keeps the old") {
    struct Way {
        std::string name;
        std::function<UniqueFd(Tree&)> open;
    };
    std::vector<Way> ways = {
        {"O_RDWR", [](Tree& t) { return open_file(t / "f", O_RDWR); }},
        {"O_WRONLY", [](Tree& t) { return open_file(t / "f", O_WRONLY); }},
        {"O_CREAT", [](Tree& t) { return open_file(t / "f", O_RDWR | O_CREAT); }},
        {"openat",
         [](Tree& t) {
             UniqueFd dir = open_file(t.mnt(), O_PATH | O_DIRECTORY);
             return UniqueFd(OK(::openat(dir.get(), "f", O_RDWR | O_CLOEXEC)));
         }},
        {"working directory",
         [](Tree& t) {
             OK(::chdir(t.mnt().c_str()));
             UniqueFd fd = open_file("f", O_RDWR);
             OK(::chdir("/"));
             return fd;
         }},
        {"other link", [](Tree& t) { return open_file(t / "link", O_RDWR); }},
        {"O_APPEND", [](Tree& t) { return open_file(t / "f", O_RDWR | O_APPEND); }},
    };
    for (const Way& way : ways) {
        CAPTURE(way.name);
        auto tree = layers();
        Counter count(tree->mnt());
        UniqueFd reader = open_file(*tree / "f", O_RDONLY);
        CHECK(head_of(reader.get()) == kOldHead);
        UniqueFd writer = way.open(*tree);
        bool append = way.name == "O_APPEND";
        write_fd(writer.get(), kHead, 0);
        CHECK(head_of(reader.get()) == kOldHead);
        std::string seen = read_file(*tree / "f");
        CHECK(seen.size() == kOld.size() + (append ? kHead.size() : 0));
        CHECK(seen.substr(append ? kOld.size() : 0, kHead.size()) == kHead);
        CHECK(read_file(*tree / "link") == seen);
        CHECK(stat_of(*tree / "f").st_ino == stat_of(*tree / "link").st_ino);
        CHECK(count("copyups") == (is_standin() ? 0 : 1));
        CHECK(count("splits") == (is_standin() ? 0 : 1));
        CHECK(count.served() == 0);
    }
}

TEST_CASE("io mode: reader held, O_TRUNC and O_CREAT with O_TRUNC") {
    for (int flags : {O_WRONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC}) {
        auto tree = layers();
        UniqueFd reader = open_file(*tree / "f", O_RDONLY);
        UniqueFd writer = open_file(*tree / "f", flags);
        CHECK(stat_of(writer.get()).st_size == 0);
        write_fd(writer.get(), kHead, 0);
        CHECK(read_fd(reader.get()) == kOld);
        CHECK(read_file(*tree / "link") == kHead);
    }
}

TEST_CASE("io mode: reader held, changes by path work on what is named") {
    auto tree = layers();
    UniqueFd reader = open_file(*tree / "f", O_RDONLY);
    OK(::chmod((*tree / "f").c_str(), 0600));
    timespec times[2] = {{1000, 0}, {2000, 0}};
    OK(::utimensat(AT_FDCWD, (*tree / "f").c_str(), times, 0));
    OK(::lsetxattr((*tree / "f").c_str(), "user.k", "v", 1, 0));
    CHECK(stat_of(*tree / "link").st_mtim.tv_sec == 2000);
    CHECK((stat_of(*tree / "link").st_mode & 07777) == 0600);
    CHECK((stat_of(reader.get()).st_mode & 07777) == 0600);
    CHECK(get_xattr(*tree / "link", "user.k") == "v");
    if (!is_standin()) CHECK(tree->stats()["splits"] == 0);
    OK(::truncate((*tree / "f").c_str(), 10));
    CHECK(read_file(*tree / "link") == kOld.substr(0, 10));
    CHECK(read_fd(reader.get()) == kOld);
}

TEST_CASE("io mode: reader held, changes by the reader's descriptor") {
    auto tree = layers();
    UniqueFd reader = open_file(*tree / "f", O_RDONLY);
    OK(::fchmod(reader.get(), 0640));
    OK(::fchown(reader.get(), 5, 6));
    timespec times[2] = {{1000, 0}, {2000, 0}};
    OK(::futimens(reader.get(), times));
    OK(::fsetxattr(reader.get(), "user.k", "v", 1, 0));
    CHECK((stat_of(*tree / "f").st_mode & 07777) == 0640);
    CHECK(stat_of(*tree / "link").st_uid == 5);
    CHECK(stat_of(*tree / "link").st_mtim.tv_sec == 2000);
    CHECK(read_fd(reader.get()) == kOld);
}

TEST_CASE("io mode: reader held deep down, the writer's path is walked again") {
    auto tree = layers();
    Counter count(tree->mnt());
    UniqueFd reader = open_file(*tree / "d1/d2/d3/g", O_RDONLY);
    UniqueFd writer = open_file(*tree / "d1/d2/d3/g", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(head_of(reader.get()) == kOldHead);
    CHECK(head_of(*tree / "d1/d2/d3/g") == kHead);
    CHECK(count.served() == 0);
}

TEST_CASE("io mode: writer held, reader and writer come - one file, seen at once") {
    auto tree = layers();
    Counter count(tree->mnt());
    UniqueFd writer = open_file(*tree / "f", O_RDWR);
    UniqueFd reader = open_file(*tree / "f", O_RDONLY), second = open_file(*tree / "link", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(head_of(reader.get()) == kHead);
    write_fd(second.get(), "2", 0);
    CHECK(head_of(reader.get())[0] == '2');
    CHECK(count.served() == 0);
    CHECK(count("splits") == 0);
    CHECK(count("backings.opened") == (is_standin() ? 0 : 1));
}

TEST_CASE("io mode: after a split, old and new readers, and everything closed again") {
    auto tree = layers();
    UniqueFd old_reader = open_file(*tree / "f", O_RDONLY);
    for (int round = 0; round < 5; round++) {
        UniqueFd writer = open_file(*tree / "f", O_RDWR);
        write_fd(writer.get(), std::to_string(round), 0);
        UniqueFd reader = open_file(*tree / "f", O_RDONLY);
        CHECK(head_of(reader.get())[0] == '0' + round);
        CHECK(head_of(old_reader.get()) == kOldHead);
    }
    if (!is_standin()) CHECK(tree->stats()["splits"] <= 1);
    old_reader.reset();
    Counter count(tree->mnt());
    CHECK(head_of(*tree / "f")[0] == '4');
    CHECK(count.served() == 0);
}

TEST_CASE("io mode: a mapping that outlives its descriptor holds nothing back") {
    auto tree = layers();
    Counter count(tree->mnt());
    UniqueFd reader = open_file(*tree / "f", O_RDONLY);
    auto* map = static_cast<char*>(::mmap(nullptr, kOld.size(), PROT_READ, MAP_SHARED, reader.get(), 0));
    REQUIRE(map != MAP_FAILED);
    reader.reset();
    CHECK(tree->mounted().backings_settle());
    UniqueFd writer = open_file(*tree / "f", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(std::string(map, kHead.size()) == kOldHead);
    CHECK(head_of(*tree / "f") == kHead);
    CHECK(count("splits") == 0);
    CHECK(count.served() == 0);
    OK(::munmap(map, kOld.size()));
}

TEST_CASE("io mode: reopening through /proc/self/fd") {
    auto tree = layers();
    for (int held : {O_RDONLY, O_PATH}) {
        UniqueFd fd = open_file(*tree / "d1/d2/d3/g", held);
        std::string self = "/proc/self/fd/" + std::to_string(fd.get());
        UniqueFd again = open_file(self, O_RDONLY);
        CHECK(head_of(again.get()) == kOldHead);
    }
    // Nobody reads it: writing through a reopened O_PATH descriptor just works.
    UniqueFd path = open_file(*tree / "d1/d2/d3/g", O_PATH);
    CHECK(tree->mounted().backings_settle());
    UniqueFd writer = open_file("/proc/self/fd/" + std::to_string(path.get()), O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(head_of(*tree / "d1/d2/d3/g") == kHead);
}

TEST_CASE("io mode: reopening a reader for writing through /proc/self/fd works or says so, and harms nothing") {
    auto tree = layers();
    UniqueFd reader = open_file(*tree / "f", O_RDONLY);
    std::string self = "/proc/self/fd/" + std::to_string(reader.get());
    int fd = ::open(self.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        int err = errno;
        CHECK((err == EBUSY || err == ESTALE));
    } else {
        UniqueFd writer(fd);
        write_fd(writer.get(), kHead, 0);
        CHECK(head_of(*tree / "f") == kHead);
    }
    // By path it works whatever happened before, and a reader reopened then sees the new bytes.
    UniqueFd writer = open_file(*tree / "f", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    UniqueFd again = open_file(self, O_RDONLY);
    CHECK(head_of(again.get()) == kHead);
    CHECK(head_of(*tree / "f") == kHead);
    // With the old reader gone the very same descriptor can be reopened for writing.
    UniqueFd path = open_file(*tree / "f", O_PATH);
    again.reset();
    reader.reset();
    CHECK(eventually([&] { return try_open("/proc/self/fd/" + std::to_string(path.get()), O_RDWR) == 0; }));
}

TEST_CASE("io mode: a file bind mounted elsewhere") {
    auto tree = layers();
    std::string target = tree->scratch() / "bound";
    write_file(target, "");
    Mounted bind(*tree / "f", target, "", 4096 /* MS_BIND */, "");
    CHECK(head_of(target) == kOldHead);
    CHECK(tree->mounted().backings_settle());
    {
        UniqueFd writer = open_file(target, O_RDWR);  // nobody else has it open: no split is needed
        write_fd(writer.get(), kHead, 0);
    }
    CHECK(head_of(*tree / "f") == kHead);
    CHECK(head_of(target) == kHead);
}

TEST_CASE("io mode: a reader and a bind mount of the same file") {
    auto tree = layers();
    std::string target = tree->scratch() / "bound";
    write_file(target, "");
    Mounted bind(*tree / "f", target, "", 4096 /* MS_BIND */, "");
    UniqueFd reader = open_file(*tree / "f", O_RDONLY);
    int err = try_open(target, O_RDWR);
    CHECK((err == 0 || err == EBUSY || err == ESTALE));
    reader.reset();
    CHECK(eventually([&] { return try_open(target, O_RDWR) == 0; }));
}

TEST_CASE("io mode: a lower that can not be passed through is served cached, and its copy is coherent with it") {
    Layers tree;
    write_file(tree.lower + "/f", kOld);
    if (is_standin()) skip("about plyfs itself");
    tree.mount("passthrough=off");
    UniqueFd reader = open_file(tree / "f", O_RDONLY);
    auto* map = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, reader.get(), 0));
    REQUIRE(map != MAP_FAILED);
    CHECK(head_of(reader.get()) == kOldHead);
    UniqueFd writer = open_file(tree / "f", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(head_of(tree / "f") == kHead);
    CHECK(head_of(reader.get()) == kHead);
    CHECK(std::string(map, kHead.size()) == kHead);
    CHECK(tree.stats()["splits"] == 0);
    OK(::munmap(map, 4096));
}

TEST_CASE(
    "io mode: a refused branch beside a good one - cached and passed through do not get in each other's "
    "way") {
    if (is_standin()) skip("about plyfs itself");
    Scratch scratch;
    LoopFs disk("ext4", scratch.path(), "disk", 64);
    for (std::string name : {"low", "ovup", "ovwork", "upper", "work"}) disk.dir(name);
    write_file(disk / "low/f", kOld);
    Mounted overlay("overlay", scratch.dir("over"), "overlay", 0,
                    "lowerdir=" + (disk / "low") + ",upperdir=" + (disk / "ovup") + ",workdir=" + (disk / "ovwork"));
    std::string mnt = scratch.dir("mnt");
    Mount mount("lowerdir=" + overlay.target() + ",upperdir=" + (disk / "upper") + ",workdir=" + (disk / "work") +
                    ",max-stack-depth=0",
                "", mnt);
    UniqueFd reader = open_file(mnt + "/f", O_RDONLY);  // cached: ELOOP
    CHECK(head_of(reader.get()) == kOldHead);
    UniqueFd writer = open_file(mnt + "/f", O_RDWR);
    write_fd(writer.get(), kHead, 0);
    CHECK(head_of(mnt + "/f") == kHead);
    std::string seen = head_of(reader.get());
    CHECK((seen == kHead || seen == kOldHead));
    writer.reset();
    reader.reset();
    CHECK(eventually([&] {
        Counter count(mnt);
        return head_of(mnt + "/f") == kHead && count("opens.passthrough") == 1;
    }));
    CHECK(read_file(overlay.target() + "/f") == kOld);
}

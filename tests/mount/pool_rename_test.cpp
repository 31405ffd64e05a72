// Renames and links in pools: what gets the new name on which branch, when it is EXDEV and what is done instead, and
// that no name is missing meanwhile.
#include <linux/fs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "mount/pool_ground.h"
#include "support/run.h"

using namespace plyfs::test;

namespace {

int rename2(const std::string& from, const std::string& to, unsigned flags = 0) {
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

struct Row {
    const char* what;
    const char* options;
    const char* branches;
    const char* files;  // as PoolGround::fill() takes them
    const char* from;
    const char* to;
    int error;
    const char* old_at;   // on which branches the old name is afterwards,
    const char* new_at;   // and the new one
    const char* content;  // of the new name, if it is a file
    unsigned flags = 0;
    const char* old_content = nullptr;  // of the old name, if it is still seen
};

void check(const Row& row) {
    INFO(row.what);
    PoolGround g;
    g.fill(row.files);
    Mount mount(std::string("timeout=0,minfreespace=0") + (*row.options ? "," : "") + row.options,
                g.branches(row.branches), g.mnt);
    CHECK(err_of(rename2(mount / row.from, mount / row.to, row.flags)) == row.error);
    CHECK(g.where(row.from) == row.old_at);
    CHECK(g.where(row.to) == row.new_at);
    if (*row.content) CHECK(read_file(mount / row.to) == row.content);
    CHECK(exists(mount / row.from) == (row.old_content != nullptr || row.error != 0));
    if (row.old_content && *row.old_content) CHECK(read_file(mount / row.from) == row.old_content);
}

}  // namespace

TEST_CASE("pool rename: files") {
    const Row rows[] = {
        {"a file stays on its branch", "", "a:b", "b/f", "f", "g", 0, "", "b", "b:f"},
        {"copies move along", "", "a:b:c", "a/f b/f c/f", "f", "g", 0, "", "abc", "a:f"},
        {"or only the one of the policy", "func.rename=ff", "a:b", "a/f b/f", "f", "g", 0, "b", "a", "a:f", 0, "b:f"},
        {"set for all actions", "category.action=epff", "a:b", "a/f b/f", "f", "g", 0, "b", "a", "a:f", 0, "b:f"},
        {"or none", "func.rename=erofs", "a:b", "a/f b/f", "f", "g", EROFS, "ab", "", ""},
        {"over one on a branch above", "", "a:b", "b/f a/g", "f", "g", 0, "", "b", "b:f"},
        {"over one on a branch below", "", "a:b", "a/f b/g", "f", "g", 0, "", "a", "a:f"},
        {"over several", "", "a:b:c", "b/f a/g b/g c/g", "f", "g", 0, "", "b", "b:f"},
        {"copies over several", "", "a:b:c", "a/f b/f b/g c/g", "f", "g", 0, "", "ab", "a:f"},
        {"the copy that is seen decides", "selection=largest", "a:b", "b/long a/f", "long", "f", 0, "", "b", "b:long"},
        {"its new directory is made", "", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"not if it is there", "", "a:b", "b/f a/g", "f", "g", EEXIST, "b", "a", "a:g", RENAME_NOREPLACE},
        {"and if it is not", "", "a:b", "b/f", "f", "g", 0, "", "b", "b:f", RENAME_NOREPLACE},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("pool rename: path preserving, and told to ignore it") {
    const Row rows[] = {
        {"ep", "create=epmfs", "a:b", "a/d/ b/f", "f", "d/f", EXDEV, "b", "", ""},
        {"msp", "create=mspmfs", "a:b", "a/d/ b/f", "f", "d/f", EXDEV, "b", "", ""},
        {"the others", "create=mfs", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"newest is none", "create=newest", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"only func.create counts", "create=epmfs,func.create=mfs", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"ignored", "create=epmfs,ignorepponrename", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"ignored with a value", "create=epmfs,ignorepponrename=true", "a:b", "a/d/ b/f", "f", "d/f", 0, "", "b",
         "b:f"},
        {"the directory is there", "create=epmfs", "a:b", "a/d/ b/d/ b/f", "f", "d/f", 0, "", "b", "b:f"},
        {"within a directory", "create=epmfs", "a:b", "a/d/ b/d/f", "d/f", "d/g", 0, "", "b", "b:d/f"},
        {"a copy where it is not goes", "create=epff", "a:b", "a/d/ a/f b/f", "f", "d/f", 0, "", "a", "a:f"},
        {"a directory", "create=epff", "a:b", "a/p/ a/d/x", "d", "p/d", 0, "", "a", ""},
        {"a directory of which a part may not", "create=epff", "a:b", "a/p/ a/d/x b/d/y", "d", "p/d", EXDEV, "ab", "",
         ""},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("pool rename: into a directory that its branch has no room for, the caller copies") {
    for (const std::string options : {"", ",rename-exdev=rel-symlink"}) {
        CAPTURE(options);
        PoolGround g;
        g.fill("a:d/ b:f b:x/g b:h");
        Mount mount("minfreespace=0,create=ff" + options, g.branches("a:b"), g.mnt);
        struct statvfs st;
        OK(::statvfs(g.at('b', "").c_str(), &st));
        const std::string full = "nr_inodes=" + std::to_string(st.f_files - st.f_ffree);
        OK(::mount("none", g.at('b', "").c_str(), "tmpfs", MS_REMOUNT, full.c_str()));
        CHECK(err_of(::rename((mount / "f").c_str(), (mount / "d/f").c_str())) == EXDEV);
        CHECK(err_of(::rename((mount / "x").c_str(), (mount / "d/x").c_str())) == EXDEV);
        CHECK(read_file(mount / "f") == "b:f");
        CHECK(read_file(mount / "x/g") == "b:x/g");
        must_run({"mv", mount / "f", mount / "x", mount / "d"});
        CHECK(read_file(mount / "d/f") == "b:f");
        CHECK(read_file(mount / "d/x/g") == "b:x/g");
        CHECK_FALSE(exists(mount / "f"));
        // Where nothing has to be made it is a rename as ever.
        OK(::rename((mount / "h").c_str(), (mount / "k").c_str()));
        CHECK(g.where("k") == "b");
    }
}

TEST_CASE("pool rename: directories on several branches") {
    const Row rows[] = {
        {"all parts", "", "a:b:c", "a/d/x c/d/y", "d", "e", 0, "", "ac", ""},
        {"whatever the policy", "func.rename=ff", "a:b", "a/d/x b/d/y", "d", "e", 0, "", "ab", ""},
        {"over a full one of another branch", "", "a:b", "a/d/x b/e/y", "d", "e", ENOTEMPTY, "a", "b", ""},
        {"over a full one below an empty one", "", "a:b", "a/d/x a/e/ b/e/y", "d", "e", ENOTEMPTY, "a", "ab", ""},
        {"over an empty one of another branch", "", "a:b", "a/d/x b/e/", "d", "e", 0, "", "a", ""},
        {"over an empty one of several", "", "a:b:c", "b/d/x c/d/y a/e/ b/e/", "d", "e", 0, "", "bc", ""},
        {"not over a file", "", "a:b", "a/d/x b/e", "d", "e", ENOTDIR, "a", "b", ""},
        {"a part on a read-only branch", "", "a:b=ro", "a/d/x b/d/y", "d", "e", EXDEV, "ab", "", ""},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("pool rename: exchange, also across branches") {
    const Row rows[] = {
        {"on one branch", "", "a:b", "a/f a/g", "f", "g", 0, "a", "a", "a:f", RENAME_EXCHANGE, "a:g"},
        {"across", "", "a:b", "a/f b/g", "f", "g", 0, "a", "a", "a:f", RENAME_EXCHANGE, "b:g"},
        {"the other way round", "", "a:b", "b/f a/g", "f", "g", 0, "a", "a", "b:f", RENAME_EXCHANGE, "a:g"},
        {"into a directory of the other branch", "", "a:b", "a/f b/d/g", "f", "d/g", 0, "a", "a", "a:f",
         RENAME_EXCHANGE, "b:d/g"},
        {"copies of one", "", "a:b", "a/f b/f a/g", "f", "g", 0, "a", "ab", "a:f", RENAME_EXCHANGE, "a:g"},
        {"a directory across branches", "", "a:b", "a/f b/d/x", "f", "d", 0, "ab", "a", "a:f", RENAME_EXCHANGE, ""},
        {"a directory on several", "", "a:b:c", "a/f b/d/x c/d/y", "f", "d", 0, "abc", "a", "a:f", RENAME_EXCHANGE, ""},
        {"the other way round with one", "", "a:b:c", "a/d/x b/d/y c/f", "d", "f", 0, "c", "abc", "", RENAME_EXCHANGE,
         "c:f"},
        {"two directories across branches", "", "a:b", "a/e/x b/d/y", "e", "d", 0, "ab", "a", "", RENAME_EXCHANGE, ""},
        {"two with parts of their own", "", "a:b:c", "a/e/x b/e/x b/d/y c/d/y", "e", "d", 0, "abc", "ab", "",
         RENAME_EXCHANGE, ""},
        {"two, one of them with a read-only part", "", "a:b:c=ro", "a/e/x b/d/y c/d/z", "e", "d", EXDEV, "a", "bc", "",
         RENAME_EXCHANGE, ""},
        {"a directory on one", "", "a:b", "a/f a/d/x", "f", "d", 0, "a", "a", "a:f", RENAME_EXCHANGE, ""},
        {"with nothing", "", "a:b", "a/f", "f", "g", ENOENT, "a", "", "", RENAME_EXCHANGE},
        {"with what is on a read-only branch", "", "a:b=ro", "a/f b/g", "f", "g", 0, "a", "ab", "a:f", RENAME_EXCHANGE,
         "b:g"},
    };
    for (const Row& row : rows) check(row);
    PoolGround g;
    g.fill("a/f b/f a/g b/g");
    Mount mount("timeout=0", g.branches("a:b:c"), g.mnt);
    OK(rename2(mount / "f", mount / "g", RENAME_EXCHANGE));
    CHECK(read_file(g.at('b', "f")) == "b:g");
    CHECK(read_file(g.at('b', "g")) == "b:f");
    // Directories with all that is in them, whoever has them open, and again.
    g.fill("a/e/x b/e/y b/d/z c/d/w");
    UniqueFd in_e = open_file(mount / "e", O_RDONLY | O_DIRECTORY);
    const std::vector<std::string> of_e = {"x", "y"}, of_d = {"w", "z"};
    for (int round = 0; round < 3; ++round) {
        CHECK(list_dir(mount / (round % 2 ? "d" : "e")) == of_e);
        CHECK(list_dir(mount / (round % 2 ? "e" : "d")) == of_d);
        CHECK(UniqueFd(::openat(in_e.get(), "y", O_RDONLY | O_CLOEXEC)).valid());
        CHECK(stat_of(in_e.get()).st_ino == stat_of(mount / (round % 2 ? "d" : "e")).st_ino);
        OK(rename2(mount / "e", mount / "d", RENAME_EXCHANGE));
    }
}

TEST_CASE("pool rename: a whiteout is left for another overlay to see") {
    PoolGround g;
    g.fill("b/f");
    Mount mount("timeout=0", g.branches("a:b"), g.mnt);
    OK(rename2(mount / "f", mount / "g", RENAME_WHITEOUT));
    CHECK(read_file(mount / "g") == "b:f");
    CHECK(S_ISCHR(lstat_of(mount / "f").st_mode));
    CHECK(lstat_of(mount / "f").st_rdev == 0);
}

TEST_CASE("pool rename: read-only branches are hidden or stay, and are never changed") {
    const Row rows[] = {
        {"from one", "", "a:b=ro", "b/f", "f", "g", 0, "ab", "a", "b:f"},
        {"from one, without whiteouts", "whiteouts=off", "a:b=ro", "b/f", "f", "g", EROFS, "b", "", ""},
        {"from one, without copies", "copyup=off", "a:b=ro", "b/f", "f", "g", EROFS, "b", "", ""},
        {"of a copy, without whiteouts", "whiteouts=off", "a:b=ro", "a/f b/f", "f", "g", EROFS, "ab", "", ""},
        {"over one below", "", "a:b=ro", "a/f b/g", "f", "g", 0, "", "ab", "a:f"},
        {"over one below, without whiteouts", "whiteouts=off", "a:b=ro", "a/f b/g", "f", "g", 0, "", "ab", "a:f"},
        {"over one above, from a branch above that", "create=ff", "a:b=ro:c", "c/f b/g", "f", "g", 0, "", "ab", "c:f"},
        {"over one above that nothing is above", "", "b=ro:c", "c/f b/g", "f", "g", EXDEV, "c", "b", "b:g"},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("pool rename: an open file is not carried away under who writes to it") {
    PoolGround g;
    g.fill("c/f b/g");
    Mount mount("timeout=0,create=ff", g.branches("a:b=ro:c"), g.mnt);
    UniqueFd writer = open_file(mount / "f", O_WRONLY);
    FAILS(EXDEV, rename2(mount / "f", mount / "g"));
    write_fd(writer.get(), "C", 0);
    CHECK(read_file(g.at('c', "f")) == "C:f");
    writer = UniqueFd();
    {
        UniqueFd fd = open_file(mount / "f", O_RDWR);
        void* mapped = ::mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        REQUIRE(mapped != MAP_FAILED);
        fd = UniqueFd();
        CHECK(mount.backings_settle());
        FAILS(EXDEV, rename2(mount / "f", mount / "g"));
        OK(::munmap(mapped, 3));
    }
    UniqueFd reader = open_file(mount / "f", O_RDONLY);
    OK(rename2(mount / "f", mount / "g"));
    CHECK(read_file(mount / "g") == "C:f");
    CHECK(read_fd(reader.get()) == "C:f");
    CHECK(g.where("f").empty());
    CHECK(read_file(g.at('b', "g")) == "b:g");
    write_file(mount / "g", "new");
    CHECK(read_file(g.at('a', "g")) == "new");
}

TEST_CASE("pool rename: what was written beside a file of a read-only branch is saved over it") {
    PoolGround g;
    g.fill("b/g");
    Mount mount("timeout=0,create=ff,func.create=lfs", g.branches("a:b=ro:c"), g.mnt);
    write_file(g.at('c', "fill"), pattern(100000));
    for (int i = 0; i < 50; ++i) {
        write_file(mount / "new", std::to_string(i));
        CHECK(g.where("new") == "c");
        OK(rename2(mount / "new", mount / "g"));
        CHECK(read_file(mount / "g") == std::to_string(i));
    }
    CHECK(g.where("g") == "ab");
    CHECK(read_file(g.at('b', "g")) == "b:g");
}

// The descriptor that made it stayed registered with the kernel, and was taken for somebody who writes.
TEST_CASE("pool rename: a file that somebody still reads is saved over another since the one who made it closed it") {
    PoolGround g;
    g.fill("b/g");
    Mount mount("timeout=0,create=ff,func.create=lfs", g.branches("a:b=ro:c"), g.mnt);
    write_file(g.at('c', "fill"), pattern(100000));
    UniqueFd maker = open_file(mount / "new", O_CREAT | O_RDWR);
    write_fd(maker.get(), "new", 0);
    const UniqueFd reader = open_file(mount / "new", O_RDONLY);
    FAILS(EXDEV, rename2(mount / "new", mount / "g"));
    maker.reset();
    OK(rename2(mount / "new", mount / "g"));
    CHECK(read_fd(reader.get()) == "new");
    CHECK(read_file(mount / "g") == "new");
    CHECK(g.where("g") == "ab");
}

TEST_CASE("pool rename: what is written on the branch while a file is carried from there is not lost") {
    PoolGround g;
    const std::string content(8 << 20, 'x');
    int carried = 0;
    for (int round = 0; round < 12; ++round) {
        g.fill("b/g");
        write_file(g.at('c', "log"), content);
        Mount mount("timeout=0", g.branches("a:b=ro:c"), g.mnt);
        std::string expected = content;
        std::thread writer([&] {
            nap(round * 3);
            const int fd = ::open(g.at('c', "log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
            if (fd < 0) return;  // carried already
            OK(static_cast<int>(::write(fd, "end", 3)) - 3);
            ::close(fd);
            expected += "end";
        });
        const int done = rename2(mount / "log", mount / "g");
        const int error = errno;
        writer.join();
        if (done == 0) ++carried;
        if (done != 0) CHECK(error == EXDEV);
        CHECK((read_file(done == 0 ? mount / "g" : mount / "log") == expected));
        for (char branch : g.where("log")) OK(::unlink(g.at(branch, "log").c_str()));
        if (done == 0) CHECK(g.where("log").empty());
        if (exists(g.at('a', "g"))) OK(::unlink(g.at('a', "g").c_str()));
    }
    CHECK(carried > 0);
}

TEST_CASE("pool rename: readers never miss a name that is replaced or exchanged") {
    PoolGround g;
    g.fill("a/f b/g");
    Mount mount("timeout=0", g.branches("a:b:c"), g.mnt);
    std::atomic<bool> stop{false};
    std::atomic<int> missed{0}, opened{0};
    std::thread reader([&] {
        while (!stop) {
            for (const char* name : {"f", "g"}) {
                const int fd = ::open((mount / name).c_str(), O_RDONLY | O_CLOEXEC);
                if (fd < 0) ++missed;
                if (fd >= 0) ++opened;
                ::close(fd);
            }
        }
    });
    for (int i = 0; i < 150; ++i) {
        const char branch = "abc"[i % 3];
        write_file(g.at(branch, "next"), "x");
        if (rename2(mount / "next", mount / "g") != 0) ++missed;
        write_file(g.at("abc"[(i + 1) % 3], "other"), "x");
        if (rename2(mount / "other", mount / "f", RENAME_EXCHANGE) != 0) ++missed;
        if (::unlink((mount / "other").c_str()) != 0) ++missed;
    }
    stop = true;
    reader.join();
    CHECK(missed == 0);
    CHECK(opened > 100);
}

TEST_CASE("pool rename: killed at any moment, every name is the old or the new file") {
    PoolGround g;
    write_file(g.at('a', "g"), "-1");
    write_file(g.at('b', "one"), "one");
    write_file(g.at('c', "two"), "two");
    int n = -1;
    int whole = -1;  // the last that got its name, as far as was said
    for (int round = 0; round < 20; ++round) {
        {
            Mount mount("timeout=0", g.branches("a:b:c"), g.mnt);
            const pid_t daemon = mount.pid();
            std::thread killer([&] {
                nap(3 + round * 2);
                ::kill(daemon, SIGKILL);
            });
            for (int done = 0; done == 0;) {
                ++n;
                write_file(g.at("abc"[n % 3], "next"), std::to_string(n));
                done = rename2(mount / "next", mount / "g");
                if (done == 0) whole = n;
                done += rename2(mount / "one", mount / "two", RENAME_EXCHANGE);
                // Apart again, so that the next exchange is across branches.
                if (done != 0 || n % 2 == 0) continue;
                write_file(g.at('c', "apart"), read_file(g.at(g.where("two")[0], "two")));
                OK(::rename(g.at('c', "apart").c_str(), g.at('c', "two").c_str()));
                for (char branch : g.where("two")) {
                    if (branch != 'c') OK(::unlink(g.at(branch, "two").c_str()));
                }
            }
            killer.join();
            OK(::umount2(g.mnt.c_str(), MNT_DETACH));
        }
        Mount mount("timeout=0", g.branches("a:b:c"), g.mnt);
        INFO("round ", round, " of file ", n);
        const std::string content = read_file(mount / "g");
        const bool done = content == std::to_string(n);
        CHECK((done || (content == std::to_string(whole) && exists(mount / "next"))));
        if (done) whole = n;
        const std::string one = read_file(mount / "one"), two = read_file(mount / "two");
        CHECK(((one == "one" && two == "two") || (one == "two" && two == "one")));
        for (char branch : g.where("next")) OK(::unlink(g.at(branch, "next").c_str()));
    }
}

TEST_CASE("pool rename: a symbolic link instead of EXDEV") {
    for (const std::string form : {"rel", "abs"}) {
        INFO(form);
        PoolGround g;
        g.fill("a/d/e/ b/s/f b/s/dir/x");
        Mount mount("timeout=0,create=epff,rename-exdev=" + form + "-symlink", g.branches("a:b"), g.mnt);
        const std::string way = form == "rel" ? "../../" : g.mnt + "/";
        OK(rename2(mount / "s/f", mount / "d/e/f"));
        CHECK(link_target(mount / "d/e/f") == way + ".plyfs_rename_exdev/s/f");
        CHECK(read_file(mount / "d/e/f") == "b:s/f");
        CHECK_FALSE(exists(mount / "s/f"));
        CHECK(read_file(g.at('b', ".plyfs_rename_exdev/s/f")) == "b:s/f");
        // Another file of that name does not take the place of the first.
        g.fill("b/s/f");
        write_file(g.at('b', "s/f"), "second");
        OK(rename2(mount / "s/f", mount / "d/e/g"));
        CHECK(read_file(mount / "d/e/g") == "second");
        CHECK(read_file(mount / "d/e/f") == "b:s/f");
        // What is there is not replaced by a link.
        g.fill("b/s/f");
        FAILS(EXDEV, rename2(mount / "s/f", mount / "d/e/g"));
        CHECK(read_file(mount / "s/f") == "b:s/f");
        OK(rename2(mount / "s/dir", mount / "d/dir"));
        CHECK(read_file(mount / "d/dir/x") == "b:s/dir/x");
        CHECK_FALSE(exists(mount / "s/dir"));
    }
}

TEST_CASE("pool rename: the directories of moved files are as closed as theirs were") {
    PoolGround g;
    g.fill("a/d/ b/s/f");
    OK(::chmod(g.at('b', "s").c_str(), 0750));
    OK(::chown(g.at('b', "s").c_str(), 12, 34));
    Mount mount("timeout=0,create=epff,rename-exdev=rel-symlink", g.branches("a:b"), g.mnt);
    OK(rename2(mount / "s/f", mount / "d/f"));
    const struct stat st = stat_of(g.at('b', ".plyfs_rename_exdev/s"));
    CHECK((st.st_mode & 07777) == 0750);
    CHECK(st.st_uid == 12);
    CHECK(st.st_gid == 34);
}

TEST_CASE("pool rename: a directory for moved files that somebody else made or opened takes none") {
    PoolGround g;
    g.fill("a/d/ b/s/f b/t/f");
    OK(::chmod(g.at('b', "s").c_str(), 0700));
    Mount mount("timeout=0,create=epff,rename-exdev=rel-symlink", g.branches("a:b"), g.mnt);
    make_dirs(mount / ".plyfs_rename_exdev/s");
    OK(::chmod((mount / ".plyfs_rename_exdev/s").c_str(), 0777));
    make_dirs(mount / ".plyfs_rename_exdev/t");
    OK(::chown((mount / ".plyfs_rename_exdev/t").c_str(), 12, 34));
    for (const std::string name : {"s", "t"}) {
        FAILS(EXDEV, rename2(mount / (name + "/f"), mount / "d/f"));
        CHECK(read_file(mount / (name + "/f")) == "b:" + name + "/f");
        CHECK(list_dir(mount / (".plyfs_rename_exdev/" + name)).empty());
        CHECK_FALSE(exists(mount / "d/f"));
    }
}

TEST_CASE("pool rename: where a link has been put in a name's place the kernel looks again") {
    PoolGround g;
    g.fill("a/d/ b/s/f");
    Mount mount("timeout=60,create=epff,rename-exdev=rel-symlink", g.branches("a:b"), g.mnt);
    OK(rename2(mount / "s/f", mount / "d/f"));
    CHECK(eventually([&] { return S_ISLNK(lstat_of(mount / "d/f").st_mode); }));
    OK(::unlink((mount / ".plyfs_rename_exdev/s/f").c_str()));
    FAILS(ENOENT, ::access((mount / "d/f").c_str(), F_OK));
}

TEST_CASE("pool create: a name that the kernel remembers as missing is not made beside a file that others made") {
    PoolGround g;
    g.fill("a/d/ b/d/");
    OK(::chmod(g.at('a', "d").c_str(), 0777));
    OK(::chmod(g.at('b', "d").c_str(), 0777));
    Mount mount("create=ff,coherence=timeout,negative_timeout=60", g.branches("a:b"), g.mnt);
    FAILS(ENOENT, ::access((mount / "d/f").c_str(), F_OK));
    write_file(g.at('b', "d/f"), "of others, ");
    const UniqueFd more = open_file(mount / "d/f", O_CREAT | O_WRONLY | O_APPEND);
    write_fd(more.get(), "more", 11);
    CHECK(g.where("d/f") == "b");
    CHECK(read_file(mount / "d/f") == "of others, more");
    // Nor is it opened for whoever may not: on the branch that was chosen, and on another.
    for (const char branch : {'a', 'b'}) {
        const std::string name = std::string("d/secret_on_") + branch;
        FAILS(ENOENT, ::access((mount / name).c_str(), F_OK));
        write_file(g.at(branch, name), "secret", 0600);
        const std::string path = mount / name;
        CHECK(as_user({}, [&] { return try_open(path, O_CREAT | O_RDWR); }) == EACCES);
    }
}

TEST_CASE("pool link: on the branches of the file, by policy and path") {
    struct LinkRow {
        const char* options;
        const char* files;
        int error;
        const char* at;
    };
    const LinkRow rows[] = {
        {"", "b/f a/d/", 0, "b"},
        {"", "a/f c/f b/d/", 0, "ac"},
        {"func.link=ff", "a/f c/f b/d/", 0, "a"},
        {"func.link=erofs", "a/f c/f b/d/", EROFS, ""},
        {"create=epff", "b/f a/d/", EXDEV, ""},
        {"create=mspmfs", "b/f a/d/", EXDEV, ""},
        {"create=epff,ignorepponrename", "b/f a/d/", 0, "b"},
        {"create=epff", "b/f a/d/ b/d/", 0, "b"},
        {"create=epff", "a/f b/f a/d/", 0, "a"},
    };
    for (const LinkRow& row : rows) {
        INFO(row.options, " ", row.files);
        PoolGround g;
        g.fill(row.files);
        Mount mount(std::string("timeout=0,") + row.options, g.branches("a:b:c"), g.mnt);
        CHECK(err_of(::link((mount / "f").c_str(), (mount / "d/l").c_str())) == row.error);
        CHECK(g.where("d/l") == row.at);
        if (row.error != 0) continue;
        CHECK(stat_of(mount / "d/l").st_ino == stat_of(mount / "f").st_ino);
        CHECK(stat_of(mount / "f").st_nlink == 2);
        for (const char* c = row.at; *c; ++c) CHECK(stat_of(g.at(*c, "d/l")).st_ino == stat_of(g.at(*c, "f")).st_ino);
    }
}

TEST_CASE("pool link: a symbolic link instead of EXDEV") {
    for (const std::string form : {"rel", "abs-base", "abs-pool"}) {
        INFO(form);
        PoolGround g;
        g.fill("a/d/e/ b/s/f");
        Mount mount("create=epff,link-exdev=" + form + "-symlink", g.branches("a:b"), g.mnt);
        OK(::link((mount / "s/f").c_str(), (mount / "d/e/f").c_str()));
        const std::string way = form == "rel" ? "../.." : form == "abs-base" ? g.at('b', "") : g.mnt;
        CHECK(link_target(mount / "d/e/f") == way + "/s/f");
        CHECK(read_file(mount / "d/e/f") == "b:s/f");
        CHECK(S_ISREG(lstat_of(mount / "s/f").st_mode));
        CHECK(stat_of(mount / "s/f").st_nlink == 1);
    }
}

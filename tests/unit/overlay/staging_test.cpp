#include "overlay/staging.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include "branches.h"
#include "sys/attributes.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

struct Place {
    explicit Place(const std::string& base = std::filesystem::temp_directory_path()) : scratch(base) {
        make_dir(scratch / "lower");
        make_dir(scratch / "upper");
        auto opened = WorkDir::open(open_dir(scratch.path()), name_of("work"));
        REQUIRE(opened);
        work = std::move(*opened);
        upper = open_dir(scratch / "upper");
    }
    std::string lower(const std::string& name) const { return scratch / ("lower/" + name); }
    std::string published(const std::string& name) const { return scratch / ("upper/" + name); }
    // Nothing staged is left.
    bool work_is_empty() const { return names_in(scratch / "work").empty(); }

    struct Source {
        UniqueFd fd;
        CopySource copy;
    };
    Source source(const std::string& name) const {
        Source out;
        out.fd = open_or_fail(lower(name), O_PATH | O_NOFOLLOW);
        auto st = sys::stat_fd(out.fd);
        REQUIRE(st);
        out.copy = {out.fd, *st, st->stx_size};
        return out;
    }
    Result<Staged> stage(const Source& from, const std::function<bool()>& cancelled = {}) {
        return stage_copy(*work, from.copy, cancelled);
    }

    ScratchDir scratch;
    std::unique_ptr<WorkDir> work;
    UniqueFd upper;
};

void set_owner_and_times(const std::string& path) {
    REQUIRE(::lchown(path.c_str(), 1234, 5678) == 0);
    const timespec times[2] = {{1111111111, 123456789}, {1222222222, 987654321}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

void check_same(const std::string& from, const std::string& to) {
    const struct stat a = lstat_or_fail(from);
    const struct stat b = lstat_or_fail(to);
    CHECK(a.st_mode == b.st_mode);
    CHECK(b.st_uid == 1234);
    CHECK(b.st_gid == 5678);
    CHECK(a.st_rdev == b.st_rdev);
    CHECK(a.st_size == b.st_size);
    CHECK(b.st_mtim.tv_sec == 1222222222);
    CHECK(b.st_mtim.tv_nsec == 987654321);
    CHECK(b.st_nlink == 1);
    CHECK(a.st_ino != b.st_ino);
}

int flags_of(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    int flags = -1;
    if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return -1;
    return flags;
}

}  // namespace

TEST_CASE("staging: a copy of every kind, with owner, mode and times") {
    PLYFS_NEEDS_ROOT();
    for (const char* base : {"/tmp", "/dev/shm"}) {
        INFO(std::string(base));
        Place place(base);
        write_file(place.lower("file"), "content of the file");
        REQUIRE(::symlink("some/target", place.lower("symlink").c_str()) == 0);
        REQUIRE(::mkfifo(place.lower("fifo").c_str(), 0640) == 0);
        REQUIRE(::mknod(place.lower("char").c_str(), S_IFCHR | 0620, makedev(4, 77)) == 0);
        REQUIRE(::mknod(place.lower("block").c_str(), S_IFBLK | 0660, makedev(8, 1)) == 0);
        REQUIRE(::mknod(place.lower("socket").c_str(), S_IFSOCK | 0755, 0) == 0);
        for (const char* kind : {"file", "symlink", "fifo", "char", "block", "socket"}) {
            INFO(std::string(kind));
            set_owner_and_times(place.lower(kind));
            if (std::string_view(kind) == "file") REQUIRE(::chmod(place.lower(kind).c_str(), 06751) == 0);
            auto from = place.source(kind);
            auto staged = place.stage(from);
            REQUIRE(staged);
            CHECK(names_in(place.scratch / "upper").empty());  // nobody sees it yet
            REQUIRE(staged->publish(place.upper, name_of(kind)));
            check_same(place.lower(kind), place.published(kind));
            CHECK(place.work_is_empty());
            ::unlink(place.published(kind).c_str());
        }
        auto file = place.stage(place.source("file"));
        REQUIRE(file->publish(place.upper, name_of("file")));
        CHECK(read_file(place.published("file")) == "content of the file");
        auto link = place.stage(place.source("symlink"));
        REQUIRE(link->publish(place.upper, name_of("symlink")));
        CHECK(std::filesystem::read_symlink(place.published("symlink")) == "some/target");
    }
}

TEST_CASE("staging: attributes are carried, marks are not") {
    PLYFS_NEEDS_ROOT();
    Place place;
    write_file(place.lower("file"), "x");
    auto set = [&](const char* name, std::string_view value) {
        REQUIRE(::setxattr(place.lower("file").c_str(), name, value.data(), value.size(), 0) == 0);
    };
    set("user.comment", "kept");
    set("trusted.other", "kept too");
    set("trusted.overlay.origin", "of another mount");
    set("trusted.overlay.overlay.opaque", "a nested overlay's");
    const char capability[] = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    set("security.capability", {capability, 20});
    auto staged = place.stage(place.source("file"));
    REQUIRE(staged);
    REQUIRE(staged->publish(place.upper, name_of("file")));
    auto get = [&](const char* name) -> std::string {
        char value[64];
        const ssize_t size = ::getxattr(place.published("file").c_str(), name, value, sizeof value);
        return size < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(size));
    };
    CHECK(get("user.comment") == "kept");
    CHECK(get("trusted.other") == "kept too");
    CHECK(get("trusted.overlay.overlay.opaque") == "a nested overlay's");
    CHECK(get("security.capability") == std::string(capability, 20));
    CHECK(get("trusted.overlay.origin") == "(none)");
}

TEST_CASE("staging: only the data that is wanted") {
    PLYFS_NEEDS_ROOT();
    Place place;
    write_file(place.lower("file"), std::string(100000, 'x'));
    struct Row {
        std::uint64_t wanted;
        off_t size;
    };
    for (const Row& row : {Row{0, 0}, Row{1, 1}, Row{4096, 4096}, Row{100000, 100000}}) {
        CAPTURE(row.wanted);
        auto from = place.source("file");
        from.copy.data_bytes = row.wanted;
        auto staged = place.stage(from);
        REQUIRE(staged);
        REQUIRE(staged->publish(place.upper, name_of("file")));
        CHECK(lstat_or_fail(place.published("file")).st_size == row.size);
        ::unlink(place.published("file").c_str());
    }
}

TEST_CASE("staging: a directory that looks like the original") {
    PLYFS_NEEDS_ROOT();
    Place place;
    make_dir(place.lower("dir"));
    write_file(place.lower("dir/inside"), "not copied");
    REQUIRE(::setxattr(place.lower("dir").c_str(), "user.comment", "kept", 4, 0) == 0);
    REQUIRE(::chmod(place.lower("dir").c_str(), 03751) == 0);
    make_opaque(place.lower("dir"));
    for (bool opaque : {false, true}) {
        set_owner_and_times(place.lower("dir"));
        REQUIRE(::chmod(place.lower("dir").c_str(), 03751) == 0);
        CAPTURE(opaque);
        auto from = place.source("dir");
        auto staged = stage_directory(*place.work, from.fd, from.copy.st, opaque);
        REQUIRE(staged);
        REQUIRE(staged->publish(place.upper, name_of("dir")));
        const auto st = lstat_or_fail(place.published("dir"));
        CHECK(st.st_mode == (S_IFDIR | 03751));
        CHECK(st.st_uid == 1234);
        CHECK(st.st_gid == 5678);
        CHECK(st.st_mtim.tv_sec == 1222222222);
        CHECK(is_opaque(place.published("dir")) == opaque);
        CHECK(names_in(place.published("dir")).empty());
        char value[8];
        CHECK(::getxattr(place.published("dir").c_str(), "user.comment", value, sizeof value) == 4);
        REQUIRE(::rmdir(place.published("dir").c_str()) == 0);
    }
    CHECK(stage_copy(*place.work, place.source("dir").copy, {}).failed_with(EISDIR));
}

TEST_CASE("staging: what is not published leaves nothing") {
    PLYFS_NEEDS_ROOT();
    Place place;
    write_file(place.lower("file"), "x");
    REQUIRE(::symlink("x", place.lower("symlink").c_str()) == 0);
    make_dir(place.lower("dir"));
    {
        auto file = place.stage(place.source("file"));
        auto link = place.stage(place.source("symlink"));
        auto from = place.source("dir");
        auto dir = stage_directory(*place.work, from.fd, from.copy.st, true);
        REQUIRE((file && link && dir));
        CHECK_FALSE(place.work_is_empty());
    }
    CHECK(place.work_is_empty());
    CHECK(names_in(place.scratch / "upper").empty());
}

TEST_CASE("staging: a cancelled copy says EINTR and leaves nothing") {
    PLYFS_NEEDS_ROOT();
    Place place;
    write_file(place.lower("file"), std::string(40 << 20, 'x'));
    CHECK(place.stage(place.source("file"), [] { return true; }).failed_with(EINTR));
    int asked = 0;
    CHECK(place.stage(place.source("file"), [&] { return ++asked == 3; }).failed_with(EINTR));
    CHECK(asked == 3);
    CHECK(place.work_is_empty());
    CHECK(names_in(place.scratch / "upper").empty());
}

TEST_CASE("staging: a name that is taken is left as it is") {
    PLYFS_NEEDS_ROOT();
    Place place;
    write_file(place.lower("file"), "copy");
    REQUIRE(::symlink("copy", place.lower("symlink").c_str()) == 0);
    make_dir(place.lower("dir"));
    write_file(place.published("taken"), "was here");
    for (const char* kind : {"file", "symlink", "dir"}) {
        INFO(std::string(kind));
        auto from = place.source(kind);
        auto staged = std::string_view(kind) == "dir" ? stage_directory(*place.work, from.fd, from.copy.st, false)
                                                      : place.stage(from);
        REQUIRE(staged);
        CHECK(staged->publish(place.upper, name_of("taken")).failed_with(EEXIST));
        CHECK(read_file(place.published("taken")) == "was here");
        // It can still be published under another name.
        CHECK(staged->publish(place.upper, name_of("free")));
        CHECK(exists(place.published("free")));
        std::filesystem::remove(place.published("free"));
    }
    CHECK(place.work_is_empty());
}

TEST_CASE("staging: over a whiteout, a file and directories") {
    PLYFS_NEEDS_ROOT();
    for (const char* base : {"/tmp", "/dev/shm"}) {
        INFO(std::string(base));
        Place place(base);
        write_file(place.lower("file"), "copy");
        REQUIRE(::symlink("copy", place.lower("symlink").c_str()) == 0);
        make_dir(place.lower("dir"));
        auto make_target = [&](const std::string& kind) {
            const std::string path = place.published("x");
            if (kind == "whiteout") make_whiteout(path);
            if (kind == "file") write_file(path, "old");
            if (kind == "empty directory" || kind == "directory of whiteouts") make_dir(path);
            if (kind == "directory of whiteouts") make_whiteout(path + "/w");
        };
        for (const char* over : {"whiteout", "file", "empty directory", "directory of whiteouts"}) {
            for (const char* kind : {"file", "symlink", "dir"}) {
                INFO(std::string(over));
                INFO(std::string(kind));
                make_target(over);
                {
                    auto from = place.source(kind);
                    auto staged = std::string_view(kind) == "dir"
                                      ? stage_directory(*place.work, from.fd, from.copy.st, true)
                                      : place.stage(from);
                    REQUIRE(staged);
                    REQUIRE(staged->publish_over(place.upper, name_of("x")));
                }
                const auto st = lstat_or_fail(place.published("x"));
                CHECK((st.st_mode & S_IFMT) == (lstat_or_fail(place.lower(kind)).st_mode & S_IFMT));
                if (S_ISREG(st.st_mode)) CHECK(read_file(place.published("x")) == "copy");
                if (S_ISDIR(st.st_mode)) CHECK(names_in(place.published("x")).empty());
                CHECK(place.work_is_empty());
                std::filesystem::remove(place.published("x"));
            }
        }
    }
}

TEST_CASE("staging: append-only and immutable come after publication") {
    PLYFS_NEEDS_ROOT();
    Place place;
    struct Row {
        const char* name;
        int flag;
    };
    for (const Row& row : {Row{"append", FS_APPEND_FL}, Row{"immutable", FS_IMMUTABLE_FL}}) {
        INFO(std::string(row.name));
        write_file(place.lower(row.name), "x");
        if (!set_protection(place.lower(row.name), row.flag)) {
            MESSAGE("skipped: this file system has no such flag");
            return;
        }
        for (bool over : {false, true}) {
            CAPTURE(over);
            if (over) make_whiteout(place.published(row.name));
            {
                auto staged = place.stage(place.source(row.name));
                REQUIRE(staged);
                REQUIRE((over ? staged->publish_over(place.upper, name_of(row.name))
                              : staged->publish(place.upper, name_of(row.name))));
            }
            CHECK((flags_of(place.published(row.name)) & row.flag) != 0);
            CHECK(place.work_is_empty());
            CHECK(set_protection(place.published(row.name), 0));
            ::unlink(place.published(row.name).c_str());
        }
        CHECK(set_protection(place.lower(row.name), 0));
    }
}

#include "ops/open.h"

#include <atomic>
#include <thread>

#include "mount.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

// What every open(2) of a 64-bit program carries, and the kernel's own opens do not.
constexpr int kLargeFile = 0100000;

Result<ops::Opened> open(Mounted& mount, NodeId id, int flags, pid_t pid = 100) {
    return ops::open(mount.ctx(), Mounted::request(pid), id, flags | kLargeFile);
}

std::string write(Mounted& mount, ops::FileHandle& handle, std::string_view text) {
    auto done = ops::write(mount.ctx(), Mounted::request(), handle, std::as_bytes(std::span(text)), {}, false);
    return done ? std::to_string(*done) : "error " + std::to_string(done.error().value());
}

// A mount of layers with one lower file.
struct OneFile : Mounted {
    OneFile() : Mounted("wr") {
        write_file(at(1, "file"), "lower");
        start();
    }
    ~OneFile() { CHECK(read_file(at(1, "file")) == "lower"); }
    bool is_file(std::int32_t backing, int branch) {
        return registrar.file_of(backing) ==
               sys::key_of(sys::stat_at(open_dir(at(branch, "")), name_of("file")).value());
    }
};

}  // namespace

TEST_CASE("open: readers share one backing, closed once at the last release") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto first = open(mount, id, O_RDONLY);
    REQUIRE(first);
    CHECK(first->mode == IoMode::passthrough_new);
    CHECK(mount.is_file(first->backing_id, 1));
    auto second = open(mount, id, O_RDONLY, 200);
    REQUIRE(second);
    CHECK(second->mode == IoMode::passthrough_shared);
    CHECK(second->backing_id == first->backing_id);
    CHECK_FALSE((first->keep_cache || second->keep_cache));  // EIO with passthrough
    CHECK(mount.registrar.asked == 1);
    ops::release(mount.ctx(), first->handle);
    CHECK(mount.registrar.closed == 0);
    ops::release(mount.ctx(), second->handle);
    CHECK(mount.registrar.closed == 1);
    // A new one has a new id.
    auto third = open(mount, id, O_RDONLY);
    REQUIRE(third);
    CHECK(third->mode == IoMode::passthrough_new);
    ops::release(mount.ctx(), third->handle);
    CHECK(mount.registrar.closed == 2);
    CHECK(mount.tree().counters().backings_opened == 2);
}

TEST_CASE("open: a writer nobody stands in the way of stays on the node") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    ops::release(mount.ctx(), reader->handle);
    auto writer = open(mount, id, O_RDWR);
    REQUIRE(writer);
    CHECK(writer->mode == IoMode::passthrough_new);
    CHECK(mount.is_file(writer->backing_id, 0));
    auto again = open(mount, id, O_RDONLY);
    REQUIRE(again);
    CHECK(again->mode == IoMode::passthrough_shared);
    CHECK(mount.id("file") == id);
    CHECK(mount.tree().counters().splits == 0);
    ops::release(mount.ctx(), writer->handle);
    ops::release(mount.ctx(), again->handle);
}

TEST_CASE("open: a writer is sent to a new node id while readers hold the original") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId old_id = mount.id("file");
    auto reader = open(mount, old_id, O_RDONLY);
    REQUIRE(reader);
    CHECK(open(mount, old_id, O_RDWR, 7).failed_with(ESTALE));
    CHECK(mount.tree().counters().splits == 1);
    const NodeId id = mount.id("file");
    CHECK(id != old_id);
    auto writer = open(mount, id, O_RDWR, 7);
    REQUIRE(writer);
    CHECK(writer->mode == IoMode::passthrough_new);
    CHECK(mount.is_file(writer->backing_id, 0));
    CHECK(mount.is_file(reader->backing_id, 1));
    CHECK(write(mount, *writer->handle, "upper") == "5");
    CHECK(mount.read(*reader->handle) == "lower");
    CHECK(mount.read("file") == "upper");
    // Both ids are the one file.
    CHECK(ops::getattr(mount.ctx(), id)->st.stx_ino == ops::getattr(mount.ctx(), old_id)->st.stx_ino);
    CHECK(ops::getattr(mount.ctx(), old_id)->timeout == 0);
    // Who has no path to walk gets an honest error, or through the daemon the new bytes.
    CHECK(open(mount, old_id, O_WRONLY, 8).failed_with(ESTALE));
    CHECK(open(mount, old_id, O_WRONLY, 8).failed_with(EBUSY));
    CHECK(open(mount, old_id, O_RDONLY, 9).failed_with(ESTALE));
    auto through = open(mount, old_id, O_RDONLY, 9);
    REQUIRE(through);
    CHECK(through->mode == IoMode::served_from_winner);
    CHECK(through->backing_id == reader->backing_id);
    CHECK(mount.read(*through->handle) == "upper");
    CHECK(mount.tree().counters().splits == 1);
    CHECK(mount.tree().counters().copyups == 1);
    for (auto* handle : {reader->handle, through->handle}) ops::release(mount.ctx(), handle);
    // Without old readers the old id leads to the new file.
    auto late = open(mount, old_id, O_RDWR, 8);
    REQUIRE(late);
    CHECK(late->mode == IoMode::passthrough_new);
    CHECK(mount.is_file(late->backing_id, 0));
    for (auto* handle : {writer->handle, late->handle}) ops::release(mount.ctx(), handle);
    CHECK(mount.registrar.closed == mount.registrar.asked);
}

TEST_CASE("open: ESTALE again after EBUSY, and after a lookup by anybody") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    CHECK(open(mount, id, O_RDWR, 7).failed_with(ESTALE));
    CHECK(open(mount, id, O_RDWR, 8).failed_with(ESTALE));  // another caller: his first
    CHECK(open(mount, id, O_RDWR, 7).failed_with(EBUSY));
    CHECK(open(mount, id, O_RDWR, 7).failed_with(ESTALE));
    mount.id("file");
    CHECK(open(mount, id, O_RDWR, 8).failed_with(ESTALE));
    CHECK(mount.tree().counters().splits == 1);
    ops::release(mount.ctx(), reader->handle);
}

TEST_CASE("open: the kernel's own opens are not sent to walk again, 32-bit writers are") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    // A 32-bit program without large-file support; the kernel itself opens for reading only.
    for (int expected : {ESTALE, EBUSY, ESTALE}) {
        CHECK(ops::open(mount.ctx(), Mounted::request(8), id, O_RDWR).failed_with(expected));
    }
    CHECK(mount.tree().counters().splits == 1);
    auto writer = ops::open(mount.ctx(), Mounted::request(8), mount.id("file"), O_RDWR);
    REQUIRE(writer);
    CHECK(write(mount, *writer->handle, "upper") == "5");
    auto through = ops::open(mount.ctx(), Mounted::request(7), id, O_RDONLY);
    REQUIRE(through);
    CHECK(through->mode == IoMode::served_from_winner);
    CHECK(mount.read(*through->handle) == "upper");
    for (auto* handle : {reader->handle, writer->handle, through->handle}) ops::release(mount.ctx(), handle);
}

TEST_CASE("open: readers of a copy whose bytes are still equal share the original") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    ops::AttrChange change;
    change.mode = 0600;
    REQUIRE(ops::setattr(mount.ctx(), Mounted::request(), id, change));
    CHECK(mount.tree().counters().copyups == 1);
    CHECK((lstat_or_fail(mount.at(0, "file")).st_mode & 07777) == 0600);
    auto second = open(mount, id, O_RDONLY);
    REQUIRE(second);
    CHECK(second->backing_id == reader->backing_id);
    CHECK(mount.id("file") == id);
    for (auto* handle : {reader->handle, second->handle}) ops::release(mount.ctx(), handle);
}

TEST_CASE("open: an open that fails has truncated nothing") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    CHECK(open(mount, id, O_WRONLY | O_TRUNC, 7).failed_with(ESTALE));
    CHECK(read_file(mount.at(0, "file")) == "lower");
    CHECK(open(mount, id, O_WRONLY | O_TRUNC, 7).failed_with(EBUSY));
    CHECK(read_file(mount.at(0, "file")) == "lower");
    auto writer = open(mount, mount.id("file"), O_WRONLY | O_TRUNC, 7);
    REQUIRE(writer);
    CHECK(read_file(mount.at(0, "file")) == "");
    CHECK(mount.read(*reader->handle) == "lower");
    for (auto* handle : {reader->handle, writer->handle}) ops::release(mount.ctx(), handle);
}

TEST_CASE("open: a new size under old readers goes to a new node id, by handle it stays") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    REQUIRE(reader);
    ops::AttrChange change;
    change.size = 2;
    CHECK(ops::setattr(mount.ctx(), Mounted::request(), id, change).failed_with(ESTALE));
    const NodeId now = mount.id("file");
    CHECK(now != id);
    auto done = ops::setattr(mount.ctx(), Mounted::request(), now, change);
    REQUIRE(done);
    CHECK(done->st.stx_size == 2);
    CHECK(mount.read("file") == "lo");
    CHECK(mount.read(*reader->handle) == "lower");
    ops::release(mount.ctx(), reader->handle);
}

TEST_CASE("open: refused registrations are cached opens, per file or per branch") {
    PLYFS_NEEDS_ROOT();
    struct Row {
        int error;
        bool available;  // afterwards
        Branch::Passthrough branch;
        int asked;  // for two files
    };
    for (const Row& row :
         {Row{EPERM, true, Branch::Passthrough::untried, 2}, Row{ELOOP, true, Branch::Passthrough::no, 1},
          Row{EINVAL, true, Branch::Passthrough::untried, 2}}) {
        CAPTURE(row.error);
        Mounted mount("wr");
        write_file(mount.at(1, "a"), "text a");
        write_file(mount.at(1, "b"), "text b");
        mount.start();
        mount.registrar.refuse_with = row.error;
        std::vector<ops::FileHandle*> handles;
        for (const char* name : {"a", "b"}) {
            auto opened = open(mount, mount.id(name), O_RDONLY);
            REQUIRE(opened);
            CHECK(opened->mode == IoMode::cached);
            CHECK_FALSE(opened->keep_cache);  // nothing is known of what the kernel may have
            CHECK(mount.read(*opened->handle) == std::string("text ") + name);
            handles.push_back(opened->handle);
        }
        CHECK(mount.registrar.asked == row.asked);
        CHECK(mount.tree().set().at(1).passthrough() == row.branch);
        CHECK(mount.tree().set().at(0).passthrough() == Branch::Passthrough::untried);
        // The refusal passes, but cached opens are held.
        mount.registrar.refuse_with = 0;
        auto second = open(mount, mount.id("a"), O_RDONLY);
        CHECK(second->mode == IoMode::cached);
        CHECK(second->keep_cache);
        handles.push_back(second->handle);
        for (auto* handle : handles) ops::release(mount.ctx(), handle);
        auto later = open(mount, mount.id("a"), O_RDONLY);
        CHECK((later->mode == IoMode::passthrough_new) == (row.branch != Branch::Passthrough::no));
        ops::release(mount.ctx(), later->handle);
    }
}

TEST_CASE("open: no passthrough at all") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    mount.registrar.available_ = false;
    const NodeId id = mount.id("file");
    auto reader = open(mount, id, O_RDONLY);
    auto writer = open(mount, id, O_RDWR);
    REQUIRE((reader && writer));
    CHECK(mount.registrar.asked == 0);
    CHECK(write(mount, *writer->handle, "upper") == "5");
    CHECK(mount.read(*reader->handle) == "upper");  // cached opens follow the winner
    CHECK(mount.tree().counters().splits == 0);
    CHECK(mount.id("file") == id);
    for (auto* handle : {reader->handle, writer->handle}) ops::release(mount.ctx(), handle);
}

TEST_CASE("open: what can not be opened") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    REQUIRE(::symlink("dir", mount.at(1, "link").c_str()) == 0);
    mount.start();
    CHECK(open(mount, mount.id("dir"), O_RDONLY).failed_with(EISDIR));
    CHECK(open(mount, mount.id("link"), O_RDONLY).failed_with(ELOOP));
    CHECK(open(mount, 123456, O_RDONLY).failed_with(ESTALE));
    CHECK(open(mount, 0, O_RDONLY).failed_with(ESTALE));
}

TEST_CASE("open: interrupted, or not to be waited for") {
    PLYFS_NEEDS_ROOT();
    OneFile mount;
    const NodeId id = mount.id("file");
    ops::Request request = Mounted::request();
    request.may_block = false;
    CHECK(ops::open(mount.ctx(), request, id, O_RDWR).failed_with(EINPROGRESS));
    request = Mounted::request();
    request.cancelled = [] { return true; };
    CHECK(ops::open(mount.ctx(), request, id, O_RDWR).failed_with(EINTR));
    CHECK_FALSE(exists(mount.at(0, "file")));
    CHECK(mount.registrar.asked == 0);
}

TEST_CASE("open: an unlinked file lives on for those who have it open") {
    PLYFS_NEEDS_ROOT();
    for (bool lower : {true, false}) {
        CAPTURE(lower);
        Mounted mount("wr");
        write_file(mount.at(lower ? 1 : 0, "file"), "text");
        mount.start();
        const NodeId id = mount.id("file");
        auto handle = open(mount, id, O_RDONLY);
        REQUIRE(handle);
        REQUIRE(ops::unlink(mount.ctx(), Mounted::request(), kRootId, name_of("file")));
        CHECK_FALSE(mount.shows("file"));
        CHECK(is_whiteout(mount.at(0, "file")) == lower);
        auto attr = ops::getattr(mount.ctx(), id);
        REQUIRE(attr);
        CHECK(attr->st.stx_nlink == 0);
        CHECK(attr->st.stx_size == 4);
        CHECK(mount.read(*handle->handle) == "text");
        // Changed by its descriptor: what lies below is copied, to no name.
        ops::AttrChange change;
        change.mode = 0600;
        change.by_handle = true;
        auto changed = ops::setattr(mount.ctx(), Mounted::request(), id, change);
        REQUIRE(changed);
        CHECK((changed->st.stx_mode & 07777) == 0600);
        CHECK(ops::getattr(mount.ctx(), id)->st.stx_nlink == 0);
        CHECK_FALSE(mount.shows("file"));
        // Its name is free for another.
        mount.create("", "file", "other");
        CHECK(mount.id("file") != id);
        CHECK(mount.read("file") == "other");
        CHECK(mount.read(*handle->handle) == "text");
        ops::release(mount.ctx(), handle->handle);
        if (lower) CHECK(read_file(mount.at(1, "file")) == "text");
    }
}

TEST_CASE("open: hard links of a copied-up file, one name after another removed") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "one"), "text");
    for (const char* name : {"two", "three"})
        REQUIRE(::link(mount.at(1, "one").c_str(), mount.at(1, name).c_str()) == 0);
    mount.start();
    const NodeId id = mount.id("one");
    CHECK(ops::getattr(mount.ctx(), id)->st.stx_nlink == 3);
    auto writer = open(mount, id, O_RDWR);
    REQUIRE(writer);
    CHECK(write(mount, *writer->handle, "TEXT") == "4");
    ops::release(mount.ctx(), writer->handle);
    CHECK(ops::getattr(mount.ctx(), id)->st.stx_nlink == 3);
    CHECK(mount.id("two") == id);
    CHECK(mount.read("two") == "TEXT");
    std::uint32_t left = 3;
    // The third was never looked up before it goes.
    for (const char* name : {"three", "one", "two"}) {
        INFO(std::string(name));
        REQUIRE(ops::unlink(mount.ctx(), Mounted::request(), kRootId, name_of(name)));
        CHECK_FALSE(mount.shows(name));
        CHECK(ops::getattr(mount.ctx(), id)->st.stx_nlink == --left);
        if (left > 0) CHECK(mount.read("two") == "TEXT");
    }
    CHECK(read_file(mount.at(1, "three")) == "text");
    mount.forget_all();
    CHECK(mount.tree().nodes().size() == 1);  // nothing keeps the node
}

TEST_CASE("open: a copied-up hard link is known again after the kernel forgot it") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    write_file(mount.at(1, "one"), "text");
    REQUIRE(::link(mount.at(1, "one").c_str(), mount.at(1, "two").c_str()) == 0);
    mount.start();
    auto writer = open(mount, mount.id("one"), O_RDWR);
    REQUIRE(writer);
    CHECK(write(mount, *writer->handle, "TEXT") == "4");
    ops::release(mount.ctx(), writer->handle);
    mount.forget_all();
    CHECK(mount.read("two") == "TEXT");
    CHECK(mount.id("one") == mount.id("two"));
    CHECK(lstat_or_fail(mount.at(0, "two")).st_nlink == 2);
}

TEST_CASE("open: a nameless file, and a name for it") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    make_dir(mount.at(1, "dir"));
    mount.start();
    auto made = ops::tmpfile(mount.ctx(), Mounted::request(), mount.id("dir"), O_RDWR, 0600);
    REQUIRE(made);
    mount.told.insert(made->entry.id);
    CHECK(made->opened.mode == IoMode::passthrough_new);
    CHECK(made->entry.attr.st.stx_nlink == 0);
    CHECK(write(mount, *made->opened.handle, "nameless") == "8");
    CHECK(mount.list("dir").empty());
    auto linked = ops::link(mount.ctx(), Mounted::request(), made->entry.id, mount.id("dir"), name_of("named"));
    REQUIRE(linked);
    CHECK(linked->id == made->entry.id);
    CHECK(linked->attr.st.stx_nlink == 1);
    ops::release(mount.ctx(), made->opened.handle);
    CHECK(mount.read("dir/named") == "nameless");
    CHECK(mount.id("dir/named") == made->entry.id);
}

TEST_CASE("open: many threads change one lower file, one copy, no change lost") {
    PLYFS_NEEDS_ROOT();
    for (int round = 0; round < 20; ++round) {
        OneFile mount;
        const NodeId id = mount.id("file");
        std::atomic<int> failed{0};
        auto change = [&](auto set) {
            ops::AttrChange what;
            set(what);
            if (!ops::setattr(mount.ctx(), Mounted::request(), id, what)) ++failed;
        };
        std::vector<std::thread> threads;
        threads.emplace_back([&] { change([](auto& what) { what.mode = 0641; }); });
        threads.emplace_back([&] { change([](auto& what) { what.uid = 1234; }); });
        threads.emplace_back([&] { change([](auto& what) { what.mtime = timespec{1000000000, 5}; }); });
        threads.emplace_back([&] {
            constexpr std::byte kValue[] = {std::byte{'v'}};
            if (!ops::setxattr(mount.ctx(), Mounted::request(), id, "user.x", kValue, 0)) ++failed;
        });
        threads.emplace_back([&] {
            auto opened = open(mount, id, O_RDWR);
            if (!opened) {
                ++failed;
                return;
            }
            ops::release(mount.ctx(), opened->handle);
        });
        for (auto& thread : threads) thread.join();
        CHECK(failed == 0);
        CHECK(mount.tree().counters().copyups == 1);
        const auto st = lstat_or_fail(mount.at(0, "file"));
        CHECK((st.st_mode & 07777) == 0641);
        CHECK(st.st_uid == 1234);
        CHECK(st.st_mtim.tv_sec == 1000000000);
        char value[4];
        CHECK(::getxattr(mount.at(0, "file").c_str(), "user.x", value, sizeof value) == 1);
    }
}

TEST_CASE("open: racing readers and writers never fail but with ESTALE, and every backing is closed") {
    PLYFS_NEEDS_ROOT();
    Mounted mount("wr");
    constexpr int kFiles = 60;
    for (int i = 0; i < kFiles; ++i) write_file(mount.at(1, "f" + std::to_string(i)), "lower");
    mount.start();
    std::vector<std::string> names;
    for (int i = 0; i < kFiles; ++i) {
        names.push_back("f" + std::to_string(i));
        mount.id(names.back());
    }
    std::atomic<int> wrong{0};
    std::mutex told_mutex;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < kFiles * 6; ++i) {
                const auto& name = names[static_cast<std::size_t>(i / 6)];
                const int flags = (i + t) % 3 == 0 ? O_RDWR : O_RDONLY;
                for (int tries = 0;; ++tries) {
                    auto entry = ops::lookup(mount.ctx(), kRootId, *Name::parse(name));
                    if (!entry) {
                        ++wrong;
                        break;
                    }
                    {
                        std::lock_guard lock(told_mutex);
                        mount.told.insert(entry->id);
                    }
                    auto opened = open(mount, entry->id, flags, t + 1);
                    if (opened) {
                        ops::release(mount.ctx(), opened->handle);
                        break;
                    }
                    if (!opened.failed_with(ESTALE) || tries > 50) {
                        ++wrong;
                        break;
                    }
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(mount.registrar.open_count() == 0);
    CHECK(mount.tree().counters().copyups == kFiles);
    for (const auto& name : names) CHECK(read_file(mount.at(1, name)) == "lower");
}

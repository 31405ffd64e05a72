// The operations over a Tree, with a registrar that counts instead of a kernel.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "../node/world.h"
#include "ops/attributes.h"
#include "ops/create.h"
#include "ops/data.h"
#include "ops/dirs.h"
#include "ops/links.h"
#include "ops/lookup.h"
#include "ops/open.h"
#include "ops/remove.h"

namespace plyfs::test {

class CountingRegistrar : public BackingRegistrar {
  public:
    bool available() const override { return available_; }
    Result<std::int32_t> open(BorrowedFd fd) override {
        std::lock_guard lock(mutex_);
        ++asked;
        if (refuse_with) return Errno(refuse_with);
        auto st = sys::stat_fd(fd);
        if (!st) return st.error();
        open_[++last_] = sys::key_of(*st);
        return last_;
    }
    void close(std::int32_t id) override {
        std::lock_guard lock(mutex_);
        if (open_.erase(id) != 1) ++closed_wrongly;
        ++closed;
    }
    // Which file an id would let the kernel read and write.
    sys::FileKey file_of(std::int32_t id) {
        std::lock_guard lock(mutex_);
        auto it = open_.find(id);
        return it == open_.end() ? sys::FileKey{} : it->second;
    }
    std::size_t open_count() {
        std::lock_guard lock(mutex_);
        return open_.size();
    }

    bool available_ = true;
    int refuse_with = 0;
    int asked = 0;
    int closed = 0;
    int closed_wrongly = 0;

  private:
    std::mutex mutex_;
    std::map<std::int32_t, sys::FileKey> open_;
    std::int32_t last_ = 0;
};

class Mounted : public World {
  public:
    using World::World;

    ops::Context& start() { return start_with(make_branches(scratch.path(), modes())); }
    ops::Context& start_with(std::shared_ptr<BranchSet> set) {
        World::start(std::move(set));
        context_ = std::unique_ptr<ops::Context>(
            new ops::Context{tree(), registrar, {.entry = 10, .attr = 10, .negative = 10}, false, {}});
        return *context_;
    }
    ops::Context& ctx() { return *context_; }

    static ops::Request request(pid_t pid = 100) {
        ops::Request out;
        out.caller.pid = pid;
        return out;
    }

    // Walks from the root as the kernel does; what it is told is forgotten when the mount ends.
    Result<ops::Entry> look(const std::string& path) {
        ops::Entry entry;
        entry.id = kRootId;
        std::size_t begin = 0;
        while (begin < path.size()) {
            const std::size_t end = std::min(path.find('/', begin), path.size());
            const std::string name = path.substr(begin, end - begin);
            auto found = ops::lookup(*context_, entry.id, name_of(name.c_str()));
            if (!found) return found.error();
            entry = *found;
            told.insert(entry.id);
            begin = end + 1;
        }
        return entry;
    }
    NodeId id(const std::string& path) {
        INFO(path);
        auto entry = look(path);
        REQUIRE(entry);
        return entry->id;
    }
    bool shows(const std::string& path) { return look(path).has_value(); }
    // "(ENOENT)" and the like where it can not be read.
    std::string read(const std::string& path) {
        auto entry = look(path);
        if (!entry) return "error " + std::to_string(entry.error().value());
        auto opened = ops::open(*context_, request(), entry->id, O_RDONLY);
        if (!opened) return "open error " + std::to_string(opened.error().value());
        std::string out = read(*opened->handle);
        ops::release(*context_, opened->handle);
        return out;
    }
    std::string read(ops::FileHandle& handle) {
        std::string out(100, '\0');
        auto got = ops::read(*context_, handle, std::as_writable_bytes(std::span(out)), 0);
        if (!got) return "read error " + std::to_string(got.error().value());
        out.resize(*got);
        return out;
    }
    void create(const std::string& parent, const char* name, std::string_view text = "") {
        auto made = ops::create(*context_, request(), id(parent), name_of(name), O_WRONLY | O_CREAT | O_EXCL, 0644);
        REQUIRE(made);
        told.insert(made->entry.id);
        CHECK(
            ops::write(*context_, request(), *made->opened.handle, std::as_bytes(std::span(text)), {}, false).value() ==
            text.size());
        ops::release(*context_, made->opened.handle);
    }
    Status mkdir(const std::string& parent, const char* name) {
        auto made = ops::mkdir(*context_, request(), id(parent), name_of(name), 0755);
        if (!made) return made.error();
        told.insert(made->id);
        return {};
    }
    Status rename(const std::string& from_dir, const char* from, const std::string& to_dir, const char* to,
                  unsigned flags = 0) {
        // The kernel has looked at both.
        shows(from_dir.empty() ? from : from_dir + "/" + from);
        shows(to_dir.empty() ? to : to_dir + "/" + to);
        return ops::rename(*context_, request(), id(from_dir), name_of(from), id(to_dir), name_of(to), flags);
    }
    std::set<std::string> list(const std::string& path) {
        struct Sink : ops::DirSink {
            std::set<std::string> names;
            bool add(std::string_view name, std::uint64_t, unsigned char, std::int64_t, const ops::Entry*) override {
                const bool fresh = names.emplace(name).second;
                CHECK_MESSAGE(fresh, "twice: " << name);
                return true;
            }
        } sink;
        auto handle = ops::opendir(*context_, id(path));
        REQUIRE(handle);
        CHECK(ops::readdir(*context_, **handle, 0, false, sink));
        ops::releasedir(*handle);
        sink.names.erase(".");
        sink.names.erase("..");
        return sink.names;
    }
    // The kernel forgets everything.
    void forget_all() {
        for (NodeId known : told) {
            if (known != kRootId) ops::forget(*context_, known, 1u << 30);
        }
        told.clear();
    }
    ~Mounted() {
        if (!context_) return;
        forget_all();
        CHECK(registrar.closed_wrongly == 0);
        CHECK(registrar.open_count() == 0);  // each handle was released, so no backing is left
        CHECK(tree().nodes().size() == 1);
    }

    CountingRegistrar registrar;
    std::set<NodeId> told;

  private:
    std::unique_ptr<ops::Context> context_;
};

}  // namespace plyfs::test

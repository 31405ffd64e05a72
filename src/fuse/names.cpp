// Requests on names: lookup, creation, removal, rename.
#include <chrono>
#include <thread>

#include "fuse/call.h"
#include "fuse/handlers.h"
#include "ops/again.h"
#include "ops/create.h"
#include "ops/handles.h"
#include "ops/links.h"
#include "ops/lookup.h"
#include "ops/remove.h"

namespace plyfs::fuse {
namespace {

using control::Slot;

void undo_entry(ops::Context& ctx, const ops::Entry& entry) {
    ops::forget(ctx, entry.id, 1);
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* raw) {
    Call call(req, Slot::lookup);
    Server& server = call.server();
    call.run(
        [parent, name = OwnedName(raw), &control = server.control](ops::Context& ctx,
                                                                   const ops::Request&) -> Result<ops::Entry> {
            if (auto file = control.find(ctx, parent, name.text())) return *file;
            if (name.text() == "." || name.text() == "..") {
                return ops::lookup_by_id(ctx, parent, name.text() == "..");
            }
            auto entry = ops::lookup(ctx, parent, TRY(name.get()));
            // An answer with node id 0 lets the kernel remember that there is nothing.
            if (entry.failed_with(ENOENT) && ctx.timeouts.negative > 0) {
                return ops::Entry{0, {}, ctx.timeouts.negative.load(std::memory_order_relaxed)};
            }
            return entry;
        },
        reply_entry, undo_entry);
}

// What is forgotten does not come by ring. Nobody waits for it, but waking the one thread that reads it costs whoever
// removes names as much as a request; while it sleeps they gather, and it gets all at once.
void let_forgets_gather(const Call& call) {
    constexpr std::chrono::milliseconds kPause{2};
    const bool nothing_else_comes = !call.ctx().releases_are_late;
    if (nothing_else_comes) std::this_thread::sleep_for(kPause);
}

void give_memory_back(const Call& call) {
    Server& server = call.server();
    if (server.heap_trim.is_due(call.ctx().tree.nodes().size())) server.executor.post(HeapTrim::run);
}

void on_forget(fuse_req_t req, fuse_ino_t id, std::uint64_t count) {
    Call call(req, Slot::forget);
    ops::forget(call.ctx(), id, count);
    fuse_reply_none(req);
    give_memory_back(call);
    let_forgets_gather(call);
}

void on_forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
    Call call(req, Slot::forget);
    for (std::size_t i = 0; i < count; ++i) ops::forget(call.ctx(), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
    give_memory_back(call);
    let_forgets_gather(call);
}

void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char* raw, mode_t mode) {
    Call(req, Slot::mkdir)
        .run(
            [=, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Result<ops::Entry> {
                const Name as = TRY(name.get());
                return ops::made_before(ctx, request, ops::mkdir(ctx, request, parent, as, mode), parent, as, S_IFDIR);
            },
            reply_entry, undo_entry);
}

void on_mknod(fuse_req_t req, fuse_ino_t parent, const char* raw, mode_t mode, dev_t device) {
    Call(req, Slot::mknod)
        .run(
            [=, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Result<ops::Entry> {
                const Name as = TRY(name.get());
                return ops::made_before(ctx, request, ops::mknod(ctx, request, parent, as, mode, device), parent, as,
                                        mode & S_IFMT);
            },
            reply_entry, undo_entry);
}

void on_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* raw) {
    Call(req, Slot::symlink)
        .run(
            [parent, name = OwnedName(raw), target = std::string(target)](
                ops::Context& ctx, const ops::Request& request) -> Result<ops::Entry> {
                const Name as = TRY(name.get());
                return ops::made_before(ctx, request, ops::symlink(ctx, request, parent, as, target.c_str()), parent,
                                        as, S_IFLNK);
            },
            reply_entry, undo_entry);
}

void on_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char* raw) {
    Call call(req, Slot::link);
    if (control::is_control_file(id)) return call.fail(Errno(EPERM));
    call.run(
        [=, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Result<ops::Entry> {
            const Name as = TRY(name.get());
            return ops::made_before(ctx, request, ops::link(ctx, request, id, parent, as), parent, as, 0);
        },
        reply_entry, undo_entry);
}

void on_unlink(fuse_req_t req, fuse_ino_t parent, const char* raw) {
    Call(req, Slot::unlink)
        .run([parent, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Status {
            return ops::removed_before(request, ops::unlink(ctx, request, parent, TRY(name.get())));
        });
}

void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char* raw) {
    Call(req, Slot::rmdir)
        .run([parent, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Status {
            return ops::removed_before(request, ops::rmdir(ctx, request, parent, TRY(name.get())));
        });
}

// The kernel takes it that the object has the new name; it may be a link to where the object is now. Not by whoever
// answers: the kernel holds the directory until it is answered.
void expire_later(Server& server, fuse_ino_t parent, const Name& name) {
    KernelCache* cache = server.ctx.kernel_cache;
    if (!cache) return;
    server.executor.post([cache, parent, name = name.str()] {
        if (!cache->expire_name(parent, name)) log::debug("the kernel does not know {} any more", name);
    });
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char* raw, fuse_ino_t new_parent, const char* new_raw,
               unsigned flags) {
    Call call(req, Slot::rename);
    call.run([=, &server = call.server(), name = OwnedName(raw), new_name = OwnedName(new_raw)](
                 ops::Context& ctx, const ops::Request& request) -> Status {
        const Name to = TRY(new_name.get());
        auto renamed = ops::rename(ctx, request, parent, TRY(name.get()), new_parent, to, flags);
        if (renamed && ctx.tree.pool().rename_instead != config::LinkInstead::none) {
            expire_later(server, new_parent, to);
        }
        if (flags & RENAME_EXCHANGE) return renamed;
        return ops::renamed_before(ctx, request, std::move(renamed), new_parent, to);
    });
}

// How a file that was created and opened is answered, and taken back if the kernel does not take that.
auto reply_create(const Call& call, int flags) {
    return [&server = call.server(), number = call.number(), flags](fuse_req_t to, const ops::Created& created) {
        fuse_file_info fi = {};
        fi.flags = flags;
        describe_open(server, created.opened, number, fi);
        const auto entry = to_entry(created.entry);
        return fuse_reply_create(to, &entry, &fi);
    };
}

auto undo_create(const Call& call) {
    return [&server = call.server()](ops::Context& ctx, const ops::Created& created) {
        server.takeover.release(ctx, created.opened.handle);
        ops::forget(ctx, created.entry.id, 1);
    };
}

void on_create(fuse_req_t req, fuse_ino_t parent, const char* raw, mode_t mode, fuse_file_info* fi) {
    const int flags = fi->flags;
    Call call(req, Slot::create);
    call.take_back_open();
    call.run(
        [=, name = OwnedName(raw)](ops::Context& ctx, const ops::Request& request) -> Result<ops::Created> {
            return ops::create(ctx, request, parent, TRY(name.get()), ops::flags_again(request, flags), mode);
        },
        reply_create(call, flags), undo_create(call));
}

void on_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, fuse_file_info* fi) {
    const int flags = fi->flags;
    Call call(req, Slot::tmpfile);
    call.take_back_open();
    call.run(
        [=](ops::Context& ctx, const ops::Request& request) { return ops::tmpfile(ctx, request, parent, flags, mode); },
        reply_create(call, flags), undo_create(call));
}

}  // namespace

void add_name_handlers(fuse_lowlevel_ops& table) {
    table.lookup = on_lookup;
    table.forget = on_forget;
    table.forget_multi = on_forget_multi;
    table.mkdir = on_mkdir;
    table.mknod = on_mknod;
    table.symlink = on_symlink;
    table.link = on_link;
    table.unlink = on_unlink;
    table.rmdir = on_rmdir;
    table.rename = on_rename;
    table.create = on_create;
    table.tmpfile = on_tmpfile;
}

}  // namespace plyfs::fuse

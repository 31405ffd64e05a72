// Requests on locks, when they are forwarded to the branches. A lock that is held by somebody else is tried again by
// the one thread here until it is free or the caller was interrupted: no thread that others need ever waits for a lock.
#include <sys/file.h>

#include "fuse/call.h"
#include "fuse/handlers.h"
#include "fuse/lock_waiter.h"
#include "ops/data.h"
#include "ops/locks.h"

namespace plyfs::fuse {
namespace {

using control::Slot;

using Attempt = std::function<Status(ops::Context&, const ops::Request&)>;

void set_lock(fuse_req_t req, Slot slot, bool may_wait, Attempt attempt) {
    Call call(req, slot);
    auto [done, ours] = call.attempt(attempt, false);
    if (!ours) return;
    if (done.failed_with(EINPROGRESS) || (done.failed_with(EAGAIN) && may_wait)) {
        auto request = call.request(true);
        request.may_block = false;
        call.server().lock_waiter.wait({std::move(request), may_wait, std::move(attempt),
                                        [call](Status result) { call.answer(std::move(result)); }});
        return;
    }
    call.answer(std::move(done));
}

void on_setlk(fuse_req_t req, fuse_ino_t, fuse_file_info* fi, struct flock* lock, int sleep) {
    auto* server = static_cast<Server*>(fuse_req_userdata(req));
    set_lock(req, Slot::setlk, sleep != 0,
             [server, handle = server->takeover.file(fi->fh), owner = fi->lock_owner, range = *lock](
                 ops::Context& ctx, const ops::Request& request) {
                 return ops::set_range_lock(ctx, request, server->lock_owners, *handle, owner, range);
             });
}

void on_getlk(fuse_req_t req, fuse_ino_t, fuse_file_info* fi, struct flock* lock) {
    auto* server = static_cast<Server*>(fuse_req_userdata(req));
    Call(req, Slot::getlk)
        .run(
            [server, handle = server->takeover.file(fi->fh), owner = fi->lock_owner, range = *lock](
                ops::Context& ctx, const ops::Request& request) {
                return ops::get_range_lock(ctx, request, server->lock_owners, *handle, owner, range);
            },
            [](fuse_req_t to, const struct flock& found) { return fuse_reply_lock(to, &found); });
}

void on_flock(fuse_req_t req, fuse_ino_t, fuse_file_info* fi, int operation) {
    auto* server = static_cast<Server*>(fuse_req_userdata(req));
    const bool may_wait = !(operation & LOCK_NB);
    set_lock(req, Slot::flock, may_wait,
             [handle = server->takeover.file(fi->fh), operation](ops::Context& ctx, const ops::Request& request) {
                 return ops::set_file_lock(ctx, request, *handle, operation & ~LOCK_NB);
             });
}

// Sent at each close(2) of a descriptor, with the owner whose range locks end by it.
void on_flush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Call call(req, Slot::flush);
    auto* handle = call.file(fi);
    call.server().lock_owners.end(*handle, fi->lock_owner);
    if (!ops::flushes(call.ctx(), *handle)) return call.answer({});
    call.run_later([=](ops::Context& ctx, const ops::Request&) { return ops::flush(ctx, *handle); });
}

}  // namespace

void add_lock_handlers(fuse_lowlevel_ops& table) {
    table.getlk = on_getlk;
    table.setlk = on_setlk;
    table.flock = on_flock;
    table.flush = on_flush;
}

}  // namespace plyfs::fuse

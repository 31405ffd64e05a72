#include "fuse/call.h"

#include "base/log.h"
#include "sys/caller.h"
#include "sys/process.h"

namespace plyfs::fuse {

namespace {

thread_local bool reads_device = false;

// The kernel takes rings or not after it was answered that there are some, and nobody is told. What is forgotten does
// not come by a ring: whoever gets that and other requests reads /dev/fuse.
void note_device(ops::Context& ctx, bool forget) {
    if (forget) reads_device = true;
    if (forget || !reads_device || ctx.releases_are_late.exchange(true)) return;
    log::warn(
        "the kernel does not use FUSE over io_uring for this mount, its log says why: requests come over /dev/fuse");
}

}  // namespace

Call::Call(fuse_req_t req, control::Slot slot)
    : req_(req), server_(static_cast<Server*>(fuse_req_userdata(req))), slot_(slot) {
    after_answers();
    const fuse_ctx* who = fuse_req_ctx(req);
    const IdMap& ids = server_->ctx.tree.set().ids();
    caller_ = {ids.disk_uid(who->uid), ids.disk_gid(who->gid), who->pid, who->umask};
    server_->requests.add(slot);
    if (!ctx().releases_are_late) note_device(ctx(), slot == control::Slot::forget);
}

ops::Request Call::request(bool may_block) const {
    ops::Request out;
    out.caller = caller_;
    out.may_block = may_block;
    out.resent = read_.resent;
    if (may_block) out.cancelled = interrupted([req = req_] { return fuse_req_interrupted(req) != 0; });
    return out;
}

// Rings do not deliver interrupts: there the caller's pending signals are looked at.
std::function<bool()> Call::interrupted(std::function<bool()> by_kernel) const {
    const bool ring = !ctx().releases_are_late;
    return [by_kernel = std::move(by_kernel), ring, tid = caller_.pid] {
        return by_kernel() || (ring && sys::has_pending_signal(tid));
    };
}

void Call::fail(Errno e) const {
    if (log::enabled(log::Level::trace)) {
        log::message(log::Level::trace, "{}: {}", control::slot_name(slot_), log::errno_text(e.value()));
    }
    // Not the caller's limit.
    const bool lacks = e == EMFILE;
    if (lacks) log::warn_rarely("requests are answered ENFILE: {}", sys::no_descriptor_text());
    before_answer();
    fuse_reply_err(req_, lacks ? ENFILE : e.value());
    count_time();
}

void Call::count_time() const {
    const auto took = std::chrono::steady_clock::now() - began_;
    server_->requests.took(slot_, static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count()));
}

}  // namespace plyfs::fuse

#include "fuse/call.h"

#include "base/log.h"

namespace plyfs::fuse {

Call::Call(fuse_req_t req, control::Slot slot)
    : req_(req), server_(static_cast<Server*>(fuse_req_userdata(req))), slot_(slot) {
    const fuse_ctx* who = fuse_req_ctx(req);
    caller_ = {who->uid, who->gid, who->pid, who->umask};
    server_->requests.add(slot);
}

ops::Request Call::request(bool may_block) const {
    ops::Request out;
    out.caller = caller_;
    out.may_block = may_block;
    if (may_block) out.cancelled = [req = req_] { return fuse_req_interrupted(req) != 0; };
    return out;
}

void Call::fail(Errno e) const {
    log::message(log::Level::trace, "{}: {}", control::slot_name(slot_), log::errno_text(e.value()));
    fuse_reply_err(req_, e.value());
}

}  // namespace plyfs::fuse

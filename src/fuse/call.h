// Call: one request on its way through: counted, its caller known, answered exactly once. Handlers hand it a function
// that returns a Result and one that replies with the value; errors are replied here.
//
// A function is first run where the request was read. When it would have to copy data it returns EINPROGRESS
// (CopyUpRequest::may_block) before it changed anything, and is run again by the executor; so it must own its
// arguments.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "base/kernel_order.h"
#include "fuse/libfuse.h"
#include "fuse/server.h"
#include "ops/open.h"

namespace plyfs::fuse {

class Call {
  public:
    Call(fuse_req_t req, control::Slot slot);

    Server& server() const { return *server_; }
    ops::Context& ctx() const { return server_->ctx; }
    ops::Request request(bool may_block) const;
    // Open files as the kernel names them; null: it could not be resumed by who took over, which is ESTALE.
    ops::FileHandle* file(const fuse_file_info* fi) const { return server_->takeover.file(fi->fh); }
    std::uint64_t number() const { return read_.number; }
    // Of requests that open something: what the same one was answered with by an earlier daemon is taken back.
    void take_back_open() const {
        if (read_.resent) server_->takeover.take_back(server_->ctx, read_.number);
    }

    // What work(ctx, request) gives; and whether it is still to be answered, or somebody has, because it waited too
    // long for a branch (fuse/overdue).
    template <typename Work>
    auto attempt(Work& work, bool may_block) const {
        Overdue::Turn turn(server_->overdue, req_, began_);
        auto asked = request(false);
        asked.may_block = may_block;
        if (may_block) asked.cancelled = interrupted(turn.interrupted());
        auto result = work(ctx(), asked);
        return std::pair(std::move(result), turn.end());
    }

    // work(ctx, request) -> Result<T>; reply(req, value) -> 0, or -ENOENT when the kernel did not take the reply; then
    // undo(ctx, value) takes back what the kernel does not know of.
    template <typename Work, typename Reply, typename Undo>
    void run(Work work, Reply reply, Undo undo) const {
        auto [result, ours] = attempt(work, false);
        if (!ours) return give_up(std::move(result), undo);
        if (!result.failed_with(EINPROGRESS)) return finish(std::move(result), reply, undo);
        post(std::move(work), reply, undo);
    }
    template <typename Work, typename Reply>
    void run(Work work, Reply reply) const {
        run(std::move(work), reply, [](ops::Context&, auto&&...) {});
    }
    // For what answers with success alone.
    template <typename Work>
    void run(Work work) const {
        run(std::move(work), [](fuse_req_t req) { return fuse_reply_err(req, 0); });
    }
    // Straight to the executor: fsync and other work that is long by nature.
    template <typename Work, typename Reply, typename Undo>
    void run_later(Work work, Reply reply, Undo undo) const {
        post(std::move(work), reply, undo);
    }
    template <typename Work, typename Reply>
    void run_later(Work work, Reply reply) const {
        run_later(std::move(work), reply, [](ops::Context&, auto&&...) {});
    }
    template <typename Work>
    void run_later(Work work) const {
        run_later(std::move(work), [](fuse_req_t req) { return fuse_reply_err(req, 0); });
    }
    void fail(Errno e) const;
    template <typename T, typename Reply>
    void answer(Result<T> result, const Reply& reply) const {
        finish(std::move(result), reply, [](ops::Context&, auto&&...) {});
    }
    void answer(Status result) const {
        finish(
            std::move(result), [](fuse_req_t req) { return fuse_reply_err(req, 0); }, 0);
    }

  private:
    template <typename Work, typename Reply, typename Undo>
    void post(Work work, Reply reply, Undo undo) const {
        server_->executor.post([call = *this, work = std::move(work), reply, undo]() mutable {
            auto [result, ours] = call.attempt(work, true);
            if (ours) return call.finish(std::move(result), reply, undo);
            call.give_up(std::move(result), undo);
        });
    }
    template <typename T, typename Undo>
    void give_up(Result<T> result, const Undo& undo) const {
        if (result) undo(ctx(), *result);
    }
    template <typename Undo>
    void give_up(const Status&, const Undo&) const {}
    std::function<bool()> interrupted(std::function<bool()> by_kernel) const;
    template <typename T, typename Reply, typename Undo>
    void finish(Result<T> result, const Reply& reply, const Undo& undo) const {
        if (!result) return fail(result.error());
        before_answer();
        const bool taken = reply(req_, *result) == 0;
        count_time();
        if (!taken) undo(ctx(), *result);
    }
    template <typename Reply, typename Undo>
    void finish(Status result, const Reply& reply, const Undo&) const {
        if (!result) return fail(result.error());
        before_answer();
        reply(req_);
        count_time();
    }
    void count_time() const;

    fuse_req_t req_;
    Server* server_;
    sys::Caller caller_;
    control::Slot slot_;
    ReadRequest read_ = Takeover::current();  // made by the thread that has read it
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// A name as the kernel sent it, owned by the work that may outlive the request's buffer.
class OwnedName {
  public:
    explicit OwnedName(const char* text) : text_(text) {}
    Result<Name> get() const { return Name::parse(text_); }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// fuse/reply.cpp
struct stat to_stat(const ops::Attr& attr);
fuse_entry_param to_entry(const ops::Entry& entry);
int reply_entry(fuse_req_t req, const ops::Entry& entry);
int reply_attr(fuse_req_t req, const ops::Attr& attr);
// request: that is answered with it (Call::number).
void describe_open(Server& server, const ops::Opened& opened, std::uint64_t request, fuse_file_info& fi);

}  // namespace plyfs::fuse

// Takeover: one daemon after another over the same connection to the kernel. The message by which the kernel began is
// kept and read again by the next one, whose answer to it nobody gets; then the kernel is asked to send again what the
// one before had read and not answered. Open files go by a number that says which daemon gave it out, and are found
// here when it was an earlier one.
//
// In a mount that has no supervisor all this is for the daemon that may follow all the same (fuse/handover.h). Where
// none may, over io_uring, a handle is its pointer, and there is nothing else.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "base/mutex.h"
#include "fuse/gate.h"
#include "fuse/readers.h"
#include "fuse/supervision.h"
#include "ops/dirs.h"
#include "ops/resume.h"
#include "sys/busy_reader.h"

namespace plyfs::fuse {

// The request that this thread has read last.
struct ReadRequest {
    std::uint64_t number = 0;  // as it had it first
    bool resent = false;
};

class Takeover {
  public:
    explicit Takeover(sys::BusyReader& reader) : reader_(reader) {}
    // Before anything else; supervision lives as long as this.
    void begin(Supervision* supervision);
    Supervision* supervision() const { return supervision_; }
    // Whether another daemon could follow this one now.
    bool can_be_followed() const;
    // How many daemons were there before.
    std::uint32_t count() const { return supervision_ ? supervision_->ledger.instance() - 1 : 0; }

    // Of the connection, by any thread.
    ssize_t read(int device, void* buffer, std::size_t size);
    ssize_t write(int device, iovec* parts, int count);
    static ReadRequest current();
    // Where requests wait when they are for the next daemon.
    Gate& gate() { return gate_; }
    // Who reads them.
    Readers& readers() { return readers_; }

    // What was open, before the first request is read. Says in the log what could not be resumed.
    void resume_files(ops::Context& ctx);

    std::uint64_t number_of(const ops::FileHandle* handle) const;
    std::uint64_t number_of(const ops::DirHandle* handle) const;
    // Written down before the kernel hears of it, as what a request was answered with.
    void write_down(ops::FileHandle& handle, std::uint64_t request, std::int32_t backing_id);
    // Null: it could not be resumed.
    ops::FileHandle* file(std::uint64_t number);
    void release(ops::Context& ctx, std::uint64_t number);
    void release(ops::Context& ctx, ops::FileHandle* handle);
    // Where no backing's file was written down before it is wanted, without a supervisor.
    void write_down_backings();
    // A request that is asked again: what it was answered with before has not arrived.
    void take_back(ops::Context& ctx, std::uint64_t request);

    // Of a directory that was opened before the branches changed, and has not been read anew since.
    bool is_of_other_branches(std::uint64_t number);
    // An earlier one's is opened anew.
    Result<ops::DirHandle*> dir(ops::Context& ctx, std::uint64_t number, NodeId id);
    void release_dir(std::uint64_t number);

  private:
    struct Earlier {
        ops::FileHandle* handle = nullptr;  // null: not resumed
        std::uint32_t record = OpenLedger::kNone;
        std::int32_t backing_id = 0;  // to be closed with the last of those that were not resumed
    };
    ssize_t read_on(int device, void* buffer, std::size_t size);
    void meet_buffer(void* buffer, std::size_t size);
    void take_in(std::span<const char> message);
    ssize_t begin_again(void* buffer, std::size_t size);
    void end_beginning(int device);
    bool is_answer_to_beginning(const iovec& part) const;
    bool is_own(std::uint64_t number) const;
    std::uint64_t tagged(std::uintptr_t pointer) const;
    void resume_file(ops::Context& ctx, const OpenLedger::Left& left);
    void close_unused(ops::Context& ctx, std::int32_t backing_id);

    sys::BusyReader& reader_;
    Gate gate_;
    Readers readers_;
    Supervision* supervision_ = nullptr;
    std::uint64_t instance_ = 0;
    std::atomic<int> stage_{0};  // of who takes over; see takeover.cpp
    Mutex mutex_;
    CondVar began_;
    std::unordered_map<std::uint64_t, Earlier> files_ GUARDED_BY(mutex_);
    std::unordered_map<std::int32_t, int> dead_backings_ GUARDED_BY(mutex_);
    std::unordered_map<std::uint64_t, std::uint64_t> answered_ GUARDED_BY(mutex_);  // requests, by their handles
    std::unordered_map<std::uint64_t, ops::DirHandle*> dirs_ GUARDED_BY(mutex_);
};

}  // namespace plyfs::fuse

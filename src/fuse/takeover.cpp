#include "fuse/takeover.h"

#include <linux/fuse.h>
#include <poll.h>

#include <cstring>

#include "base/log.h"
#include "sys/shared_memory.h"

namespace plyfs::fuse {
namespace {

// Newer than the kernel headers of Debian 12.
constexpr std::uint64_t kResentBit = std::uint64_t{1} << 63;
constexpr std::int32_t kNotifyResend = 7;

// A handle: the daemon that gave it out above, its pointer below.
constexpr int kShift = 48;
constexpr std::uint64_t kPointer = (std::uint64_t{1} << kShift) - 1;

// The first thread reads the beginning again; others wait until it comes back for the next request, for libfuse
// answers nothing before.
enum Stage : int { kBegun, kToBegin, kBeginning };
thread_local bool begins = false;

thread_local const void* known_buffer = nullptr;  // this thread's

thread_local ReadRequest current_request;

}  // namespace

void Takeover::begin(Supervision* supervision) {
    supervision_ = supervision;
    if (!supervision) return;
    instance_ = supervision->ledger.instance();
    stage_.store(supervision->takes_over() ? kToBegin : kBegun);
}

ReadRequest Takeover::current() {
    return current_request;
}

ssize_t Takeover::begin_again(void* buffer, std::size_t size) {
    begins = true;
    const auto message = supervision_->ledger.beginning();
    if (message.size() > size) {
        errno = EIO;
        return -1;
    }
    std::memcpy(buffer, message.data(), message.size());
    return static_cast<ssize_t>(message.size());
}

void Takeover::end_beginning(int device) {
    fuse_out_header again = {sizeof again, kNotifyResend, 0};
    iovec part{&again, sizeof again};
    if (sys::write_message(device, &part, 1) < 0) {
        log::warn("the kernel does not send again what was under way (Linux 6.9), who asked waits for ever: {}",
                  log::errno_text(errno));
    }
    begins = false;
    MutexLock lock(mutex_);
    stage_.store(kBegun, std::memory_order_release);
    began_.notify_all();
}

ssize_t Takeover::read_on(int device, void* buffer, std::size_t size) {
    Readers::Reading reading(readers_);
    return reader_.read(device, buffer, size);
}

ssize_t Takeover::read(int device, void* buffer, std::size_t size) {
    if (stage_.load(std::memory_order_acquire) != kBegun) {
        int expected = kToBegin;
        if (stage_.compare_exchange_strong(expected, kBeginning)) return begin_again(buffer, size);
        if (begins) end_beginning(device);
        MutexLock lock(mutex_);
        while (stage_.load(std::memory_order_acquire) != kBegun) began_.wait(mutex_);
    }
    if (!supervision_) return reader_.read(device, buffer, size);
    if (known_buffer != buffer) meet_buffer(buffer, size);
    gate_.leave();
    const ssize_t got = read_on(device, buffer, size);
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) return got;
    take_in({static_cast<const char*>(buffer), static_cast<std::size_t>(got)});
    return got;
}

// What a thread is reading when it is killed comes again only if it got it; the kernel answers EIO otherwise. Where
// nobody supervises nobody goes on after that, and memory that is not used yet is not taken.
void Takeover::meet_buffer(void* buffer, std::size_t size) {
    known_buffer = buffer;
    if (supervision_->is_supervised()) sys::populate(buffer, size);
}

// What the kernel awaits no answer to it does not send again: that is done by whoever has read it.
void Takeover::take_in(std::span<const char> message) {
    fuse_in_header header;
    std::memcpy(&header, message.data(), sizeof header);
    current_request = {header.unique & ~kResentBit, (header.unique & kResentBit) != 0};
    const bool unanswered = header.opcode == FUSE_FORGET || header.opcode == FUSE_BATCH_FORGET;
    if (!unanswered) gate_.enter();
    if (header.opcode == FUSE_INIT) supervision_->ledger.keep_beginning(message);
}

bool Takeover::is_answer_to_beginning(const iovec& part) const {
    fuse_out_header answer;
    fuse_in_header asked;
    const auto message = supervision_->ledger.beginning();
    if (part.iov_len < sizeof answer || message.size() < sizeof asked) return false;
    std::memcpy(&answer, part.iov_base, sizeof answer);
    std::memcpy(&asked, message.data(), sizeof asked);
    return answer.unique == asked.unique;
}

ssize_t Takeover::write(int device, iovec* parts, int count) {
    if (stage_.load(std::memory_order_acquire) != kBeginning || !is_answer_to_beginning(parts[0])) {
        return sys::write_message(device, parts, count);
    }
    ssize_t length = 0;
    for (int i = 0; i < count; ++i) length += static_cast<ssize_t>(parts[i].iov_len);
    return length;
}

void Takeover::resume_file(ops::Context& ctx, const OpenLedger::Left& left) {
    const OpenRecord& record = left.record;
    auto handle = left.closing ? Result<ops::FileHandle*>(Errno(ESTALE)) : ops::resume(ctx, record.open);
    MutexLock lock(mutex_);
    if (left.closing) return;
    Earlier& earlier = files_[record.handle];
    earlier.record = left.index;
    if (handle) {
        earlier.handle = *handle;
        earlier.handle->record() = left.index;
    } else if (record.open.mode != IoMode::cached) {
        earlier.backing_id = record.open.backing_id;
        ++dead_backings_[earlier.backing_id];
    }
    if (!handle) ctx.tree.nodes().told()->drop(record.open.id);
    answered_[record.request] = record.handle;
}

void Takeover::resume_files(ops::Context& ctx) {
    const auto all = supervision_->ledger.left();
    for (const auto& left : all) resume_file(ctx, left);
    std::size_t resumed = 0, lost = 0;
    {
        MutexLock lock(mutex_);
        for (const auto& [number, earlier] : files_) ++(earlier.handle ? resumed : lost);
    }
    // What was being released: the kernel has it closed, and may say so again.
    for (const auto& left : all) {
        if (!left.closing) continue;
        const std::int32_t id = left.record.open.backing_id;
        bool used = left.record.open.mode == IoMode::cached;
        for (const auto& other : all) {
            used = used ||
                   (!other.closing && other.record.open.mode != IoMode::cached && other.record.open.backing_id == id);
        }
        if (!used) close_unused(ctx, id);
        supervision_->ledger.remove(left.index);
    }
    log::info("open files resumed: {}", resumed);
    if (lost > 0) {
        log::warn(
            "open files that could not be resumed: {}; in passthrough they are read and written all the same, "
            "anything else is ESTALE",
            lost);
    }
}

void Takeover::close_unused(ops::Context& ctx, std::int32_t backing_id) {
    ctx.tree.counters().backings_opened.fetch_add(1, std::memory_order_relaxed);  // by the one before
    ctx.registrar.close(backing_id);
}

bool Takeover::is_own(std::uint64_t number) const {
    return !supervision_ || number >> kShift == instance_;
}

bool Takeover::can_be_followed() const {
    if (!supervision_) return false;
    if (!supervision_->is_supervised()) return supervision_->late != nullptr;
    pollfd line{supervision_->line.get(), 0, 0};
    return ::poll(&line, 1, 0) == 0;
}

bool Takeover::is_of_other_branches(std::uint64_t number) {
    if (!supervision_ || number >> kShift >= supervision_->ledger.changed_at()) return false;
    MutexLock lock(mutex_);
    return !dirs_.contains(number);
}

std::uint64_t Takeover::tagged(std::uintptr_t pointer) const {
    return pointer | instance_ << kShift;
}

std::uint64_t Takeover::number_of(const ops::FileHandle* handle) const {
    return tagged(reinterpret_cast<std::uintptr_t>(handle));
}

std::uint64_t Takeover::number_of(const ops::DirHandle* handle) const {
    return tagged(reinterpret_cast<std::uintptr_t>(handle));
}

void Takeover::write_down(ops::FileHandle& handle, std::uint64_t request, std::int32_t backing_id) {
    if (!supervision_) return;
    OpenRecord record{number_of(&handle), request, {handle.id(), handle.flags(), handle.mode(), backing_id, {}}};
    const bool may_die = supervision_->is_supervised();
    if (may_die && handle.mode() != IoMode::cached) record.open.backing = ops::backing_of(handle);
    handle.record() = supervision_->ledger.add(record);
    if (handle.record() == OpenLedger::kNone) log::debug("an open file is not written down: there are too many");
}

void Takeover::write_down_backings() {
    OpenLedger& ledger = supervision_->ledger;
    for (const auto& open : ledger.open_now()) {
        if (open.closing || open.record.open.mode == IoMode::cached) continue;
        if (ops::FileHandle* handle = file(open.record.handle)) {
            ledger.set_backing(open.index, ops::backing_of(*handle));
        }
    }
}

ops::FileHandle* Takeover::file(std::uint64_t number) {
    if (is_own(number)) return reinterpret_cast<ops::FileHandle*>(static_cast<std::uintptr_t>(number & kPointer));
    MutexLock lock(mutex_);
    const auto it = files_.find(number);
    return it == files_.end() ? nullptr : it->second.handle;
}

void Takeover::release(ops::Context& ctx, ops::FileHandle* handle) {
    const std::uint32_t record = handle->record();
    if (supervision_) supervision_->ledger.begin_closing(record);
    ops::release(ctx, handle);
    if (supervision_) supervision_->ledger.remove(record);
}

void Takeover::release(ops::Context& ctx, std::uint64_t number) {
    if (is_own(number)) return release(ctx, file(number));
    Earlier earlier;
    bool last = false;
    {
        MutexLock lock(mutex_);
        const auto it = files_.find(number);
        if (it == files_.end()) return;
        earlier = it->second;
        files_.erase(it);
        last = !earlier.handle && earlier.backing_id != 0 && --dead_backings_[earlier.backing_id] == 0;
    }
    if (earlier.handle) return release(ctx, earlier.handle);
    supervision_->ledger.begin_closing(earlier.record);
    if (last) close_unused(ctx, earlier.backing_id);
    supervision_->ledger.remove(earlier.record);
}

void Takeover::take_back(ops::Context& ctx, std::uint64_t request) {
    std::uint64_t number;
    {
        MutexLock lock(mutex_);
        const auto it = answered_.find(request);
        if (it == answered_.end()) return;
        number = it->second;
        answered_.erase(it);
    }
    release(ctx, number);
}

Result<ops::DirHandle*> Takeover::dir(ops::Context& ctx, std::uint64_t number, NodeId id) {
    if (is_own(number)) return reinterpret_cast<ops::DirHandle*>(static_cast<std::uintptr_t>(number & kPointer));
    {
        MutexLock lock(mutex_);
        const auto it = dirs_.find(number);
        if (it != dirs_.end()) return it->second;
    }
    ops::DirHandle* opened = TRY(ops::opendir(ctx, id));
    opened->succeed();
    ops::DirHandle* kept;
    {
        MutexLock lock(mutex_);
        kept = dirs_.try_emplace(number, opened).first->second;
    }
    if (kept != opened) ops::releasedir(opened);
    return kept;
}

void Takeover::release_dir(std::uint64_t number) {
    ops::DirHandle* handle;
    if (is_own(number)) {
        handle = reinterpret_cast<ops::DirHandle*>(static_cast<std::uintptr_t>(number & kPointer));
    } else {
        MutexLock lock(mutex_);
        const auto it = dirs_.find(number);
        if (it == dirs_.end()) return;
        handle = it->second;
        dirs_.erase(it);
    }
    ops::releasedir(handle);
}

}  // namespace plyfs::fuse

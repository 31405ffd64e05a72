#include "ops/open.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "base/insist.h"
#include "base/log.h"
#include "node/faces.h"
#include "node/link_cow.h"
#include "node/open_object.h"
#include "ops/attributes.h"
#include "ops/failover.h"
#include "ops/lookup.h"
#include "ops/protection.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::ops {
namespace {

// How long an open waits for RELEASEs on their way before it splits a node: the longest seen over an idle /dev/fuse.
constexpr auto kReleaseWait = std::chrono::milliseconds(1);

bool wants_write(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

// What our own descriptor of a file is opened with: the kernel counts offsets, each write says whether it appends, and
// bypassing the page cache is between the kernel and the caller.
int descriptor_flags(int flags) {
    return flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME);
}

Result<UniqueFd> reopen_for(int flags, BorrowedFd file) {
    auto fd = sys::reopen(file, descriptor_flags(flags));
    // The caller may, as the kernel has found; we may not where the owner is nobody in our user namespace.
    if (fd.failed_with(EPERM) && (flags & O_NOATIME)) return reopen_for(flags & ~O_NOATIME, file);
    // An append-only file is written at its end alone, as the kernel does for such a caller anyway.
    const bool append_only = fd.failed_with(EPERM) && (flags & O_APPEND);
    return append_only ? sys::reopen(file, descriptor_flags(flags) | O_APPEND) : std::move(fd);
}

// The kernel opens a file by itself for chattr and lsattr, for reading, and has no path to walk again; what every
// open(2) of a 64-bit kernel carries is missing then. A 32-bit program's open without large-file support looks the
// same: as a reader it is as well off, as a writer it must be sent to walk again.
bool is_from_kernel(int flags) {
    constexpr int kKernelLargeFile = 0100000;
    return sizeof(long) == 8 && !(flags & kKernelLargeFile);
}

enum class Granted { yes, again };

// Registers the node's winner and makes it the face's backing, unless somebody was faster or the winner changed.
// Takes object.fd once it is registered.
Result<Granted> register_backing(Context& ctx, const NodeRef& node, NodeId id, Located& object,
                                 bool& can_pass_through) {
    Branch& branch = ctx.tree.set().at(object.branch);
    auto backing_id = [&]() -> Result<std::int32_t> {
        // Reads and writes run under the credentials of this moment. A file that can not be written through needs none.
        if (!branch.writable() || branch.network()) return ctx.registrar.open(object.fd);
        sys::RegistrationCred cred;
        TRY(cred.status());
        return ctx.registrar.open(object.fd);
    }();
    if (!backing_id) {
        can_pass_through = false;
        // Files of an overlay show device numbers that are not its directories'.
        const bool whole_branch = branch.stacking() > 0 || sys::device_of(object.st) == branch.device();
        if (backing_id.failed_with(ELOOP) && whole_branch) {
            branch.passthrough_refused("its file system is itself stacked, deeper than max-stack-depth allows (ELOOP)");
        } else if (whole_branch && !ctx.registrar.available()) {
            branch.passthrough_refused(
                "the kernel lets only root of the initial user namespace register files (EPERM)");
        } else {
            log::debug("a file on {} was not registered: {}", branch.path(),
                       log::errno_text(backing_id.error().value()));
        }
        return Granted::again;
    }
    branch.passthrough_works();
    ctx.tree.counters().backings_opened.fetch_add(1, std::memory_order_relaxed);
    auto backing = std::make_shared<Backing>(ctx.registrar, *backing_id, object.branch, object.data_generation,
                                             std::move(object.fd), ctx.tree.kept_files());
    LockedNode state(*node);
    Face* face = state->face_of(id);
    if (!face) return Errno(ESTALE);
    Opens& opens = face->need_opens();
    if (opens.passthrough > 0 || opens.cached > 0 || node->data_generation() != object.data_generation ||
        state->moving) {
        return Granted::again;
    }
    opens.backing.swap(backing);  // an idle one is closed with ours, after the lock
    ++opens.passthrough;
    state->passed_through = true;
    return Granted::yes;
}

// Whether it is the first one.
bool count_writer(LockedNode& state, bool writes) {
    if (!writes) return false;
    state->had_writer = true;
    state->changed_since_copy = true;
    return ++state->writers == 1;
}

// Why the file that has the node's bytes may not be the kernel's backing file; null: it may. A file that may still be
// copied up is kept from it where old readers are to follow the copy: they read through us, who know which file
// answers.
const char* obstacle_to_handing_over(Context& ctx, LockedNode& state) {
    if (state->moving) return "it is about to move to another branch";
    const BranchSet& set = ctx.tree.set();
    const Branch& branch = set.at(state->content_branch >= 0 ? state->content_branch : state->winner);
    if (branch.passthrough() == Branch::Passthrough::no) return "its branch can not be passed through";
    const bool follows = ctx.tree.layer_options().readers == config::CopyUpReaders::follow;
    if (!follows || branch.writable() || !set.any_writable()) return nullptr;
    return "it may still be copied up, and copyup-readers=follow";
}

// Whether the file's branch is about to be full: what is written there has to be written by us, who can move it.
bool is_short_of_space(Context& ctx, const NodeRef& node) {
    if (!ctx.tree.moves_files() || !node->is_regular()) return false;
    const BranchIndex branch = LockedNode(*node)->winner;
    return ctx.tree.is_short(branch);
}

// The descriptor of a file that was just made writes, and the kernel keeps what is registered: the branch's file system
// would tell of a writer until RELEASE, and a file that somebody writes to can not move.
Located without_writing(Context& ctx, const Located& created) {
    Located out{{}, created.st, created.branch, created.generation, created.data_generation};
    if (!ctx.tree.can_move_files()) return out;
    if (auto path = sys::reopen(created.fd, O_PATH)) out.fd = std::move(*path);
    return out;
}

// Decides and counts; the counts rise before the kernel hears of the open. `created`: the file, if it was just made.
Result<Opened> grant(Context& ctx, const Request& request, const NodeRef& node, NodeId id, int flags,
                     Located* created = nullptr) {
    const bool writes = wants_write(flags);
    bool can_pass_through =
        node->is_regular() && ctx.registrar.available() && !(writes && is_short_of_space(ctx, node));
    if (can_pass_through && !writes && !created) can_pass_through = !reads_for_failover(ctx, node);
    bool waited = !ctx.releases_are_late;
    for (;;) {
        IoMode mode;
        {
            LockedNode state(*node);
            Face* face = state->face_of(id);
            if (!face) return Errno(ESTALE);
            Opens& opens = face->need_opens();
            const auto told = std::find(opens.told_stale.begin(), opens.told_stale.end(), request.caller.pid);
            OpenFacts facts;
            facts.passthrough_opens = opens.passthrough;
            facts.cached_opens = opens.cached;
            facts.backing_is_winner = !opens.backing || opens.backing->generation() == node->data_generation();
            facts.winner_changed_data = state->changed_since_copy;
            facts.can_pass_through = can_pass_through && obstacle_to_handing_over(ctx, state) == nullptr;
            facts.writes = writes;
            facts.came_back = told != opens.told_stale.end() || (!writes && is_from_kernel(flags));
            // It moves to another branch: who wrote to it here would write for nothing.
            if (writes && state->copying) return Errno(EINPROGRESS);
            mode = decide_io_mode(facts);
            if (mode == IoMode::stale && !waited) {
                waited = true;
                state.wait_for(ctx.tree.copy_condition(*node), kReleaseWait);
                continue;
            }
            if (mode == IoMode::stale) {
                retire_face(ctx.tree, state, *face, request.caller.pid);
                return Errno(ESTALE);
            }
            if (mode == IoMode::busy) {
                // The next open of this caller is a new one, with a path perhaps.
                if (told != opens.told_stale.end()) opens.told_stale.erase(told);
                return Errno(EBUSY);
            }
            // What passed the kernel's pages by while nobody had them is not in them.
            const bool keep_cache = mode == IoMode::cached && (opens.cached > 0 || !state->passed_through);
            if (mode == IoMode::cached) ++opens.cached;
            if (mode == IoMode::passthrough_shared || mode == IoMode::served_from_winner) ++opens.passthrough;
            if (mode != IoMode::passthrough_new) {
                const bool first = count_writer(state, writes);
                auto* handle = new FileHandle(node, id, flags, mode);
                if (!handle->passes_through()) opens.kept.push_back(&handle->kept());
                return Opened{handle, mode, opens.backing ? opens.backing->id() : 0,
                              keep_cache && ctx.tree.pool().files.keeps_pages(), first};
            }
        }
        Located found;
        if (created && created->fd.valid()) {
            found = without_writing(ctx, *created);
        } else {
            found = TRY(insist([&] { return ctx.tree.find_content(node); }));
        }
        Located& object = created && !found.fd.valid() ? *created : found;
        if (TRY(register_backing(ctx, node, id, object, can_pass_through)) == Granted::again) continue;
        LockedNode state(*node);
        const bool first = count_writer(state, writes);
        return Opened{new FileHandle(node, id, flags, mode), mode, state->face_of(id)->opens->backing->id(), false,
                      first};
    }
}

void count_open(Context& ctx, const Opened& opened) {
    auto& counter = opened.mode == IoMode::cached               ? ctx.opens.cached
                    : opened.mode == IoMode::served_from_winner ? ctx.opens.direct
                                                                : ctx.opens.passthrough;
    counter.fetch_add(1, std::memory_order_relaxed);
}

// A file about to be truncated needs no data, unless old readers may make the open fail: then nothing may be lost.
std::uint64_t wanted_data(const NodeRef& node, NodeId id, int flags) {
    if (!(flags & O_TRUNC)) return kAllData;
    LockedNode state(*node);
    const Face* face = state->face_of(id);
    return face && face->opens && face->opens->passthrough > 0 ? kAllData : 0;
}

Status prepare_writing(Context& ctx, const Request& request, const NodeRef& node, NodeId id, int flags) {
    TRY(may_write(LockedNode(*node)->protection, flags));
    const CopyUpRequest copy = request.copy_up(wanted_data(node, id, flags));
    TRY(ensure_writable(ctx.tree, node, copy));
    if (ctx.tree.pool().files.link_cow) TRY(part_name(ctx.tree, node, copy));
    // Of the inode: checked by open(2), which passthrough bypasses. With O_TRUNC the copy is empty already.
    TRY(may_write(sys::Protection::of(TRY(insist([&] { return ctx.tree.stat_object(node); }))), flags));
    BranchIndex branch;
    {
        LockedNode state(*node);
        TRY(require_name(state, request.caller.pid));
        branch = state->winner;
    }
    // The kernel would open the backing file itself, and say EIO for whatever that fails with.
    const bool fails = ctx.registrar.available() && sys::is_read_only(ctx.tree.set().at(branch).root());
    return fails ? Status(Errno(EROFS)) : Status();
}

// As long as somebody may write, the kernel is told attributes that hold for no time, because stores through a map are
// told to nobody. What it was told before may hold for long. And it takes an open that truncates for one that leaves
// the mode as it was.
void expire_older_attributes(Context& ctx, NodeId id, const Opened& opened, bool kills) {
    if (opened.first_writer && (kills || opened.handle->passes_through())) expire_attributes(ctx, id);
}

Status truncate_opened(Context& ctx, const Request& request, const NodeRef& node, bool kill) {
    AttrChange change;
    change.size = 0;
    change.kill_privileges = kill;
    change.by_handle = true;  // the mode is settled: no split any more
    const NodeId id = LockedNode(*node)->face.id;
    auto done = setattr(ctx, request, id, change);
    if (!done) return done.error();
    return {};
}

// In nanoseconds; 0: not to be told.
std::int64_t status_change(BorrowedFd file) {
    const auto st = sys::stat_fd(file);
    return st ? st->stx_ctime.tv_sec * std::int64_t{1000000000} + st->stx_ctime.tv_nsec : 0;
}

// Whether the pages that the kernel has are the file's. In layers they are while somebody has it open, since all that
// changes it goes through them; and it is then that dropping them does harm: a page that is being written would be read
// from the branch before it got there. Elsewhere others may have written, and given the file its old time again.
bool has_right_pages(Context& ctx, const NodeRef& node, NodeId id, BorrowedFd file) {
    const std::int64_t now = status_change(file);
    LockedNode state(*node);
    const bool same = now != 0 && state->rare->pages_of == now;
    state->rare.set(&Rare::pages_of, now);
    const Face* face = state->face_of(id);
    const bool in_use = face && face->opens && face->opens->cached > 1;
    return same || (ctx.exclusive && in_use);
}

}  // namespace

std::string passthrough_obstacle(Context& ctx, const NodeRef& node, bool writes) {
    if (!node->is_regular()) return "it is no regular file";
    if (!ctx.registrar.available()) return "the mount has no passthrough";
    if (writes && is_short_of_space(ctx, node)) return "its branch has less left than moveonenospc-reserve asks for";
    if (!writes && reads_for_failover(ctx, node)) return "read-failover=always, and there is another copy";
    LockedNode state(*node);
    const char* why = obstacle_to_handing_over(ctx, state);
    if (!why && state->face.opens && state->face.opens->cached > 0) why = "it is open through the daemon just now";
    return why ? why : "";
}

bool FileHandle::writes() const {
    return wants_write(flags_);
}

bool FileHandle::passes_through() const {
    return mode_ == IoMode::passthrough_new || mode_ == IoMode::passthrough_shared;
}

void FileHandle::keep(const SharedFd& fd, std::uint32_t generation) {
    kept_.keep(fd, generation, [&] { return passes_through() || generation == node_->data_generation(); });
}

std::int64_t FileHandle::last_written() {
    if (mode_ != IoMode::cached || !writes()) return 0;
    const auto fd = kept_.any();
    return fd ? status_change(*fd) : 0;
}

void FileHandle::start_with(UniqueFd fd, std::uint32_t generation) {
    keep(std::make_shared<const UniqueFd>(std::move(fd)), generation);
}

Result<SharedFd> FileHandle::descriptor(Context& ctx) {
    TRY(ctx.tree.answers(node_));
    if (auto fd = passes_through() ? kept_.any() : kept_.find(node_->data_generation())) return fd;
    std::shared_ptr<Backing> backing;
    if (passes_through()) {
        LockedNode state(*node_);
        Face* face = state->face_of(id_);
        if (face && face->opens) backing = face->opens->backing;
    }
    if (backing && backing->path().valid()) {
        auto fd = std::make_shared<const UniqueFd>(TRY(reopen_for(flags_, backing->path())));
        keep(fd, backing->generation());
        return fd;
    }
    auto object = TRY(ctx.tree.find_content(node_));
    if (backing && backing->generation() != object.data_generation) return Errno(ESTALE);
    auto reopened = reopen_for(flags_, object.fd);
    if (reopened.failed_with(EIO)) {
        MutexLock lock(mutex_);
        reopened = open_copy(ctx, object.st);
    }
    auto fd = std::make_shared<const UniqueFd>(TRY(std::move(reopened)));
    keep(fd, object.data_generation);
    return fd;
}

Result<Opened> open(Context& ctx, const Request& request, NodeId id, int flags, bool kill) {
    const NodeRef node = TRY(node_of(ctx, id));
    if (node->is_dir()) return Errno(EISDIR);
    if (!node->is_regular()) return Errno(ELOOP);
    Result<Opened> granted(Errno(EINPROGRESS));
    do {
        if (wants_write(flags)) TRY(prepare_writing(ctx, request, node, id, flags));
        granted = grant(ctx, request, node, id, flags);
    } while (request.may_block && granted.failed_with(EINPROGRESS));
    Opened opened = TRY(std::move(granted));
    expire_older_attributes(ctx, id, opened, kill && (flags & O_TRUNC));
    Status ready;
    // The daemon's own descriptor is opened now, so that what is wrong is said by open(2) and not by a read later; and
    // before the file is cut, or a copy that is cut already is told of as a failure.
    if (!opened.handle->passes_through()) {
        auto fd = insist([&] { return opened.handle->descriptor(ctx); });
        if (!fd) ready = fd.error();
        if (fd && opened.keep_cache) opened.keep_cache = has_right_pages(ctx, node, id, **fd);
    }
    if (ready && (flags & O_TRUNC)) ready = insist([&] { return truncate_opened(ctx, request, node, kill); });
    if (ready && !wants_write(flags)) {
        LockedNode state(*node);
        ready = require_name(state, request.caller.pid);
    }
    if (!ready) {
        release(ctx, opened.handle);
        return ready.error();
    }
    count_open(ctx, opened);
    return opened;
}

Result<Opened> open_new(Context& ctx, NodeId id, int flags, Located created) {
    const NodeRef node = TRY(node_of(ctx, id));
    Opened opened = TRY(grant(ctx, Request{}, node, id, flags & ~O_TRUNC, &created));
    if (!opened.handle->passes_through() && created.fd.valid()) {
        opened.handle->start_with(std::move(created.fd), created.data_generation);
    }
    count_open(ctx, opened);
    return opened;
}

void release(Context& ctx, FileHandle* handle) {
    std::unique_ptr<FileHandle> owned(handle);
    std::shared_ptr<Backing> closed_later;
    UniqueFd unpinned;
    const std::int64_t written = ctx.exclusive ? handle->last_written() : 0;
    {
        LockedNode state(*handle->node());
        if (handle->writes() && state->writers > 0) --state->writers;
        if (handle->writes() && handle->passes_through()) ctx.tree.own_closes().note(state->face.id);
        if (handle->has_branch_lock()) --state->rare.make().branch_locks;
        if (Face* face = state->face_of(handle->id()); face && face->opens) {
            std::erase(face->opens->kept, &handle->kept());
            (handle->mode() == IoMode::cached ? face->opens->cached : face->opens->passthrough) -= 1;
            if (written != 0) state->rare.set(&Rare::pages_of, written);
            closed_later = end_of_opens(ctx.tree, state, *face);
            unpinned = unpin_closed(state);
        }
    }
    if (ctx.releases_are_late) ctx.tree.copy_condition(*handle->node()).notify_all();
}

}  // namespace plyfs::ops

#include "ops/data.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <algorithm>

#include "base/defer.h"
#include "ops/attributes.h"
#include "ops/copies.h"
#include "ops/lookup.h"
#include "ops/protection.h"
#include "ops/room.h"
#include "overlay/marks.h"
#include "sys/cred.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/inode_ioctl.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// Runs a change of a file's data so that the user's quota and reserve bound it, not root's.
template <typename F>
auto on_behalf_of_user(Context& ctx, const FileHandle& handle, F change) -> decltype(change()) {
    const BranchIndex branch = LockedNode(*handle.node())->winner;
    if (ctx.tree.set().at(branch).network()) return change();
    sys::RegistrationCred cred;
    if (auto ready = cred.status(); !ready) return ready.error();
    return change();
}

// The error counts even if it comes after some bytes, which `most` tells: there may be room for the rest elsewhere.
// What an earlier attempt appended goes with the file.
Result<std::size_t> write_all(BorrowedFd fd, std::span<const std::byte> data, WriteAt at, std::size_t& most) {
    std::size_t done = at.append ? most : 0;
    while (done < data.size()) {
        const auto rest = data.subspan(done);
        const auto written = at.append ? sys::append(fd, rest) : sys::write_at(fd, rest, at.offset + done);
        if (!written && done > 0 && sys::always_appends(fd)) break;
        done += TRY(written);
        most = std::max(most, done);
    }
    return done;
}

Result<UniqueFd> for_flags(Context& ctx, const NodeRef& node) {
    if (!node->is_dir() && !node->is_regular()) return Errno(ENOTTY);
    const auto object = TRY(ctx.tree.find_object(node));
    return sys::reopen(object.fd, O_RDONLY);
}

// The kernel has checked that the caller may change these flags: it asks for the old ones before.
CopyUpRequest copy_up_for_flags(const Request& request) {
    CopyUpRequest copy = request.copy_up_metadata();
    copy.even_immutable = true;
    return copy;
}

// A directory's parts and a file's copies have the same flags, as they have the same mode.
template <typename Set>
Status set_on_copies(Context& ctx, const Request& request, const NodeRef& node, Set set) {
    const auto on_copy = [&](const ChangedCopy& copy) -> Status { return set(TRY(sys::reopen(copy.fd, O_RDONLY))); };
    constexpr auto kWhat = config::Function::chmod;
    const CopyUpRequest how = copy_up_for_flags(request);
    if (node->is_dir()) return change_parts(ctx, node, kWhat, how, on_copy);
    return change_each(ctx, node, TRY(copies_to_change(ctx, node, kWhat, how)), on_copy);
}

Result<UniqueFd> for_setting_marked_flags(Context& ctx, const Request& request, const NodeRef& node) {
    const auto copies = TRY(copies_to_change(ctx, node, config::Function::chmod, copy_up_for_flags(request)));
    return sys::reopen(copies.front().fd, O_RDONLY);
}

// Immutable and append-only as a mark of the upper's object instead of its inode. That one may have them all the same,
// from before or given behind the mount: it takes no mark then, so there they stay. Where both have any, one of them
// protects the object at each moment.
template <typename Set>
Status set_marked(Context& ctx, const NodeRef& node, BorrowedFd fd, const sys::Protection& wanted, Set set_inode) {
    const unsigned flags = TRY(sys::ioctl_get_flags(fd));
    const auto on_inode = sys::Protection::of_flags(flags);
    LockedNode state(*node);
    if (on_inode.any() && !state->protection.any()) return set_inode(wanted);
    if (on_inode.any()) TRY(sys::ioctl_set_flags(fd, flags & ~sys::Protection::kFlags));
    if (state->protection != wanted) {
        auto marked = marks::set_protection(fd, wanted, ctx.tree.set().marks());
        if (!marked) return marked.failed_with(EOPNOTSUPP) ? Status(Errno(EPERM)) : marked;
        state->protection = wanted;
    }
    return set_inode(sys::Protection{});
}

}  // namespace

Result<std::size_t> read(Context& ctx, FileHandle& handle, std::span<std::byte> buffer, std::uint64_t offset) {
    if (ctx.tree.pool().files.null_io) {
        std::fill(buffer.begin(), buffer.end(), std::byte{0});
        return buffer.size();
    }
    auto fd = TRY(handle.descriptor(ctx));
    auto got = sys::read_at(*fd, buffer, offset);
    while (got.failed_with(EIO)) {
        fd = TRY(handle.fail_over(ctx, fd));
        got = sys::read_at(*fd, buffer, offset);
    }
    return got;
}

Result<std::size_t> write(Context& ctx, const Request& request, FileHandle& handle, std::span<const std::byte> data,
                          WriteAt at, bool kill) {
    if (ctx.tree.pool().files.null_io) return data.size();
    // An earlier process may have appended it already, and where is not known.
    if (request.resent) at.append = false;
    std::size_t most = 0;  // of what was written by any attempt
    auto written =
        with_room(ctx, request, handle.node(), {at.offset + data.size(), data.size()}, [&]() -> Result<std::size_t> {
            const auto fd = TRY(handle.descriptor(ctx));
            if (kill) TRY(kill_privileges(ctx, request.caller, *fd, LockedNode(*handle.node())->winner));
            return on_behalf_of_user(ctx, handle, [&] { return write_all(*fd, data, at, most); });
        });
    const bool part = !written && !written.failed_with(EINPROGRESS) && most > 0;
    return part ? Result<std::size_t>(most) : written;
}

bool flushes(const Context& ctx, const FileHandle& handle) {
    const auto when = ctx.tree.pool().files.flush;
    return when == config::FlushOnClose::always || (when == config::FlushOnClose::opened_for_write && handle.writes());
}

Status flush(Context& ctx, FileHandle& handle) {
    if (!flushes(ctx, handle)) return {};
    return sys::close_copy(*TRY(handle.descriptor(ctx)));
}

Status fsync(Context& ctx, FileHandle& handle, bool data_only) {
    return sys::sync_file(*TRY(handle.descriptor(ctx)), data_only);
}

Status fallocate(Context& ctx, const Request& request, FileHandle& handle, int mode, std::uint64_t offset,
                 std::uint64_t length) {
    TRY(may_allocate(handle.node(), mode));
    const std::uint64_t end = mode & FALLOC_FL_KEEP_SIZE ? 0 : offset + length;
    return with_room(ctx, request, handle.node(), {end, length}, [&]() -> Status {
        const auto fd = TRY(handle.descriptor(ctx));
        return on_behalf_of_user(ctx, handle, [&] { return sys::allocate(*fd, mode, offset, length); });
    });
}

Result<std::uint64_t> seek(Context& ctx, FileHandle& handle, std::uint64_t offset, int whence) {
    return sys::seek_extent(*TRY(handle.descriptor(ctx)), offset, whence);
}

namespace {

// Less than handing it to another thread costs, as cp does for each small file; but a server's answer takes time.
bool is_quick_copy(Context& ctx, FileHandle& from, FileHandle& to, std::size_t length) {
    constexpr std::size_t kMostAtOnce = std::size_t{64} << 10;
    const auto is_local = [&](FileHandle& handle) {
        return !ctx.tree.set().at(LockedNode(*handle.node())->winner).network();
    };
    return length <= kMostAtOnce && is_local(from) && is_local(to);
}

}  // namespace

Result<std::size_t> copy_range(Context& ctx, const Request& request, FileHandle& from, std::uint64_t from_offset,
                               FileHandle& to, std::uint64_t to_offset, std::size_t length, unsigned flags) {
    if (!request.may_block && !is_quick_copy(ctx, from, to, length)) return Errno(EINPROGRESS);
    TRY(may_receive_copy(to.node()));
    return with_room(ctx, request, to.node(), {to_offset + length, length}, [&]() -> Result<std::size_t> {
        const auto source = TRY(from.descriptor(ctx));
        const auto target = TRY(to.descriptor(ctx));
        return on_behalf_of_user(
            ctx, to, [&] { return sys::copy_range(*source, from_offset, *target, to_offset, length, flags); });
    });
}

Result<unsigned> get_flags(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    const unsigned flags = TRY(sys::ioctl_get_flags(TRY(for_flags(ctx, node))));
    return flags | LockedNode(*node)->protection.flags();
}

Status set_flags(Context& ctx, const Request& request, NodeId id, unsigned flags) {
    const NodeRef node = TRY(node_of(ctx, id));
    const Defer times_change([&] { expire_attributes(ctx, id); });  // of which the kernel does not think
    if (!node->is_dir() && !node->is_regular()) return Errno(ENOTTY);
    const auto turn = TRY(Changing::begin(ctx.tree, node, request.copy_up_metadata()));
    if (!ctx.tree.set().rules().marks_protection) {
        return set_on_copies(ctx, request, node, [&](BorrowedFd fd) { return sys::ioctl_set_flags(fd, flags); });
    }
    const auto fd = TRY(for_setting_marked_flags(ctx, request, node));
    return set_marked(ctx, node, fd, sys::Protection::of_flags(flags), [&](const sys::Protection& on_inode) {
        return sys::ioctl_set_flags(fd, (flags & ~sys::Protection::kFlags) | on_inode.flags());
    });
}

Result<struct fsxattr> get_fsxattr(Context& ctx, NodeId id) {
    const NodeRef node = TRY(node_of(ctx, id));
    auto value = TRY(sys::ioctl_get_fsxattr(TRY(for_flags(ctx, node))));
    value.fsx_xflags |= LockedNode(*node)->protection.xflags();
    return value;
}

Status set_fsxattr(Context& ctx, const Request& request, NodeId id, const struct fsxattr& value) {
    const NodeRef node = TRY(node_of(ctx, id));
    const Defer times_change([&] { expire_attributes(ctx, id); });
    if (!node->is_dir() && !node->is_regular()) return Errno(ENOTTY);
    const auto turn = TRY(Changing::begin(ctx.tree, node, request.copy_up_metadata()));
    if (!ctx.tree.set().rules().marks_protection) {
        return set_on_copies(ctx, request, node, [&](BorrowedFd fd) { return sys::ioctl_set_fsxattr(fd, value); });
    }
    const auto fd = TRY(for_setting_marked_flags(ctx, request, node));
    return set_marked(ctx, node, fd, sys::Protection::of_xflags(value.fsx_xflags),
                      [&](const sys::Protection& on_inode) {
                          struct fsxattr left = value;
                          left.fsx_xflags = (value.fsx_xflags & ~sys::Protection::kXflags) | on_inode.xflags();
                          return sys::ioctl_set_fsxattr(fd, left);
                      });
}

}  // namespace plyfs::ops

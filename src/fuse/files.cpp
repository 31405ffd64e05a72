// Requests on open files.
#include <linux/fs.h>

#include <cstring>
#include <optional>
#include <vector>

#include "base/log.h"
#include "fuse/call.h"
#include "fuse/handlers.h"
#include "ops/data.h"
#include "ops/open.h"
#include "sys/io_priority.h"

namespace plyfs::fuse {
namespace {

using control::Slot;

// Whether the kernel asks for setuid and the like to be taken away by this open or write. Where libfuse does not hand
// the flag on, a caller without CAP_FSETID, who has to lose the bits, is told by not being root.
bool kills_privileges(fuse_req_t req, const fuse_file_info* fi) {
#if PLYFS_FUSE_HAS_KILL_SUIDGID
    (void)req;
    return fi->kill_suidgid;
#else
    (void)fi;
    return fuse_req_ctx(req)->uid != 0;
#endif
}

void on_open(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
    const fuse_file_info asked = *fi;
    const bool kill = kills_privileges(req, fi);
    Call call(req, Slot::open);
    // It has attributes alone.
    if (control::is_control_file(id)) return call.fail(Errno(EPERM));
    call.take_back_open();
    Server& server = call.server();
    call.run([=, flags = fi->flags](ops::Context& ctx,
                                    const ops::Request& request) { return ops::open(ctx, request, id, flags, kill); },
             [asked, &server, number = call.number()](fuse_req_t to, const ops::Opened& opened) {
                 fuse_file_info answer = asked;
                 describe_open(server, opened, number, answer);
                 return fuse_reply_open(to, &answer);
             },
             [&server](ops::Context& ctx, const ops::Opened& opened) { server.takeover.release(ctx, opened.handle); });
}

void on_release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Call call(req, Slot::release);
    call.server().takeover.release(call.ctx(), fi->fh);
    fuse_reply_err(req, 0);
}

void on_flush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Call call(req, Slot::flush);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    call.run_later([=](ops::Context& ctx, const ops::Request&) { return ops::flush(ctx, *handle); });
}

// With proxy-ioprio what is read and written for somebody has his I/O priority.
std::optional<sys::IoPriorityOf> act_with_priority(const Call& call, fuse_req_t req) {
    if (!call.ctx().tree.pool().files.proxy_ioprio) return std::nullopt;
    return std::optional<sys::IoPriorityOf>(std::in_place, fuse_req_ctx(req)->pid);
}

void on_read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* fi) {
    Call call(req, Slot::read);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    const auto priority = act_with_priority(call, req);
    call.run(
        [=](ops::Context& ctx, const ops::Request&) -> Result<std::vector<std::byte>> {
            std::vector<std::byte> buffer(size);
            buffer.resize(TRY(ops::read(ctx, *handle, buffer, static_cast<std::uint64_t>(offset))));
            return buffer;
        },
        [](fuse_req_t to, const std::vector<std::byte>& data) {
            return fuse_reply_buf(to, reinterpret_cast<const char*>(data.data()), data.size());
        });
}

int reply_count(fuse_req_t req, std::size_t count) {
    return fuse_reply_write(req, count);
}

void on_write(fuse_req_t req, fuse_ino_t, const char* data, std::size_t size, off_t offset, fuse_file_info* fi) {
    const bool kill = kills_privileges(req, fi);
    const auto bytes = std::as_bytes(std::span(data, size));
    const ops::WriteAt at{static_cast<std::uint64_t>(offset), (fi->flags & O_APPEND) && !fi->writepage};
    Call call(req, Slot::write);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    const auto priority = act_with_priority(call, req);
    auto write = [=](ops::Context& ctx, const ops::Request& request) {
        return ops::write(ctx, request, *handle, bytes, at, kill);
    };
    auto [written, ours] = call.attempt(write, false);
    if (!ours) return;
    if (!written.failed_with(EINPROGRESS)) return call.answer(std::move(written), reply_count);
    // The request's buffer is used again before the executor comes to it.
    call.run_later(
        [=, copy = std::vector<std::byte>(bytes.begin(), bytes.end())](ops::Context& ctx, const ops::Request& request) {
            return ops::write(ctx, request, *handle, copy, at, kill);
        },
        reply_count);
}

void on_fsync(fuse_req_t req, fuse_ino_t, int data_only, fuse_file_info* fi) {
    Call call(req, Slot::fsync);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    // ENOSYS: from now on the kernel says "done" by itself.
    if (!call.ctx().tree.layer_options().sync) return call.fail(Errno(ENOSYS));
    call.run_later([=](ops::Context& ctx, const ops::Request&) { return ops::fsync(ctx, *handle, data_only != 0); });
}

void on_fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* fi) {
    Call call(req, Slot::fallocate);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    call.run_later([=](ops::Context& ctx, const ops::Request& request) {
        return ops::fallocate(ctx, request, *handle, mode, static_cast<std::uint64_t>(offset),
                              static_cast<std::uint64_t>(length));
    });
}

void on_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) {
    Call call(req, Slot::lseek);
    auto* handle = call.file(fi);
    if (!handle) return call.fail(Errno(ESTALE));
    call.run([=](ops::Context& ctx,
                 const ops::Request&) { return ops::seek(ctx, *handle, static_cast<std::uint64_t>(offset), whence); },
             [](fuse_req_t to, std::uint64_t at) { return fuse_reply_lseek(to, static_cast<off_t>(at)); });
}

void on_copy_file_range(fuse_req_t req, fuse_ino_t, off_t from_offset, fuse_file_info* from_fi, fuse_ino_t,
                        off_t to_offset, fuse_file_info* to_fi, std::size_t length, int flags) {
    Call call(req, Slot::copy_file_range);
    auto* from = call.file(from_fi);
    auto* to = call.file(to_fi);
    if (!from || !to) return call.fail(Errno(ESTALE));
    call.run(
        [=](ops::Context& ctx, const ops::Request& request) {
            return ops::copy_range(ctx, request, *from, static_cast<std::uint64_t>(from_offset), *to,
                                   static_cast<std::uint64_t>(to_offset), length, static_cast<unsigned>(flags));
        },
        reply_count);
}

int reply_ioctl(fuse_req_t req, const void* data, std::size_t size) {
    return fuse_reply_ioctl(req, 0, data, size);
}

// chattr and lsattr. The kernel makes the calls in its own form: 4 bytes of flags, or a struct fsxattr.
void on_ioctl(fuse_req_t req, fuse_ino_t id, unsigned command, void*, fuse_file_info*, unsigned, const void* in,
              std::size_t in_size, std::size_t out_size) {
    Call call(req, Slot::ioctl);
    if (command == FS_IOC_GETFLAGS && out_size >= sizeof(unsigned)) {
        call.run([=](ops::Context& ctx, const ops::Request&) { return ops::get_flags(ctx, id); },
                 [](fuse_req_t to, unsigned flags) { return reply_ioctl(to, &flags, sizeof flags); });
    } else if (command == FS_IOC_SETFLAGS && in_size >= sizeof(unsigned)) {
        unsigned flags;
        std::memcpy(&flags, in, sizeof flags);
        call.run(
            [=](ops::Context& ctx, const ops::Request& request) { return ops::set_flags(ctx, request, id, flags); },
            [](fuse_req_t to) { return reply_ioctl(to, nullptr, 0); });
    } else if (command == FS_IOC_FSGETXATTR && out_size >= sizeof(struct fsxattr)) {
        call.run([=](ops::Context& ctx, const ops::Request&) { return ops::get_fsxattr(ctx, id); },
                 [](fuse_req_t to, const struct fsxattr& value) { return reply_ioctl(to, &value, sizeof value); });
    } else if (command == FS_IOC_FSSETXATTR && in_size >= sizeof(struct fsxattr)) {
        struct fsxattr value;
        std::memcpy(&value, in, sizeof value);
        call.run(
            [=](ops::Context& ctx, const ops::Request& request) { return ops::set_fsxattr(ctx, request, id, value); },
            [](fuse_req_t to) { return reply_ioctl(to, nullptr, 0); });
    } else {
        log::debug("ioctl {:#x} is not served", command);
        call.fail(Errno(ENOTTY));
    }
}

void on_poll(fuse_req_t req, fuse_ino_t, fuse_file_info*, fuse_pollhandle* handle) {
    Call call(req, Slot::poll);
    if (handle) fuse_pollhandle_destroy(handle);
    // ENOSYS: from now on the kernel says "ready" by itself, which is what a regular file always is.
    log::debug("poll is left to the kernel");
    call.fail(Errno(ENOSYS));
}

void on_bmap(fuse_req_t req, fuse_ino_t, std::size_t, std::uint64_t) {
    Call call(req, Slot::bmap);
    log::warn("bmap (FIBMAP, swap files) is not served: a union has no block numbers");
    call.fail(Errno(ENOSYS));
}

}  // namespace

void add_file_handlers(fuse_lowlevel_ops& table) {
    table.open = on_open;
    table.release = on_release;
    table.flush = on_flush;
    table.read = on_read;
    table.write = on_write;
    table.fsync = on_fsync;
    table.fallocate = on_fallocate;
    table.lseek = on_lseek;
    table.copy_file_range = on_copy_file_range;
    table.ioctl = on_ioctl;
    table.poll = on_poll;
    table.bmap = on_bmap;
}

}  // namespace plyfs::fuse

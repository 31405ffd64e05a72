// Requests on attributes: stat, chmod and the like, symlink targets, extended attributes, statfs.
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "fuse/call.h"
#include "fuse/handlers.h"
#include "fuse/handover.h"
#include "ops/attributes.h"
#include "ops/data.h"
#include "ops/lookup.h"
#include "ops/statfs.h"
#include "ops/where.h"
#include "sys/entry.h"

namespace plyfs::fuse {
namespace {

using control::Slot;

// Of a node, or of a file by which the mount is controlled.
auto attr_of(Server& server, fuse_ino_t id) {
    return [&server, id](ops::Context& ctx, const ops::Request&) -> Result<ops::Attr> {
        if (control::is_control_file(id)) return server.control.show(ctx, id);
        return ops::getattr(ctx, id);
    };
}

void on_getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
    Call call(req, Slot::getattr);
    call.run(attr_of(call.server(), id), reply_attr);
}

#if PLYFS_FUSE_HAS_STATX
void on_statx(fuse_req_t req, fuse_ino_t id, int, int, fuse_file_info*) {
    Call call(req, Slot::statx);
    call.run(attr_of(call.server(), id), [](fuse_req_t to, const ops::Attr& attr) {
        struct statx st = attr.st;
        return fuse_reply_statx(to, 0, &st, attr.timeout);
    });
}
#endif

ops::AttrChange change_of(const struct stat& attr, int valid, bool by_handle) {
    ops::AttrChange change;
    change.by_handle = by_handle;
    if (valid & FUSE_SET_ATTR_MODE) change.mode = attr.st_mode;
    if (valid & FUSE_SET_ATTR_UID) change.uid = attr.st_uid;
    if (valid & FUSE_SET_ATTR_GID) change.gid = attr.st_gid;
    if (valid & FUSE_SET_ATTR_SIZE) change.size = static_cast<std::uint64_t>(attr.st_size);
    if (valid & FUSE_SET_ATTR_ATIME) change.atime = attr.st_atim;
    if (valid & FUSE_SET_ATTR_MTIME) change.mtime = attr.st_mtim;
    if (valid & FUSE_SET_ATTR_ATIME_NOW) change.atime = timespec{0, UTIME_NOW};
    if (valid & FUSE_SET_ATTR_MTIME_NOW) change.mtime = timespec{0, UTIME_NOW};
    // The kernel says "a write takes setuid away" with a request that changes nothing, or with a bit beside a change.
    constexpr int kChanges = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_SIZE |
                             FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                             FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;
    change.kill_privileges = (valid & FUSE_SET_ATTR_KILL_SUID) || !(valid & kChanges);
    return change;
}

void on_setattr(fuse_req_t req, fuse_ino_t id, struct stat* attr, int valid, fuse_file_info* fi) {
    const auto change = change_of(*attr, valid, fi != nullptr);
    Call call(req, Slot::setattr);
    if (control::is_control_file(id)) return call.fail(Errno(EPERM));
    call.run([=](ops::Context& ctx, const ops::Request& request) { return ops::setattr(ctx, request, id, change); },
             reply_attr);
}

void on_readlink(fuse_req_t req, fuse_ino_t id) {
    Call(req, Slot::readlink)
        .run([id](ops::Context& ctx, const ops::Request&) { return ops::readlink(ctx, id); },
             [](fuse_req_t to, const std::string& target) { return fuse_reply_readlink(to, target.c_str()); });
}

int reply_value(fuse_req_t req, const std::string& value, std::size_t size) {
    if (size == 0) return fuse_reply_xattr(req, value.size());
    if (value.size() > size) return fuse_reply_err(req, ERANGE);
    return fuse_reply_buf(req, value.data(), value.size());
}

// The state of the mount, for root; nobody else sees that there is such an attribute.
bool asks_for_stats(fuse_req_t req, fuse_ino_t id, const char* name) {
    return id == kRootId && std::strcmp(name, control::kStatsXattr) == 0 && fuse_req_ctx(req)->uid == 0;
}

enum class Access { read, list, change };

// What noxattrs, xattr= and security-capability= say of attributes; 0: go on. After ENOSYS the kernel asks no more.
// ACLs are the kernel's business, and read for it.
int refusal(const Call& call, std::string_view name, Access access) {
    const config::FileOptions& files = call.ctx().tree.pool().files;
    if (!call.ctx().tree.layer_options().xattrs) return access == Access::change ? ENOSYS : EOPNOTSUPP;
    if (files.xattrs == config::Xattrs::nosys) return ENOSYS;
    const bool acl = name.starts_with("system.posix_acl_");
    if (files.xattrs == config::Xattrs::noattr && !acl) return ENODATA;
    return !files.capabilities && access == Access::read && name == "security.capability" ? ENODATA : 0;
}

void on_getxattr(fuse_req_t req, fuse_ino_t id, const char* raw, std::size_t size) {
    Call call(req, Slot::getxattr);
    if (asks_for_stats(req, id, raw)) {
        Server& server = call.server();
        reply_value(req, control::status_text(server.ctx, server.requests, server.facts), size);
        return;
    }
    if (control::is_control_file(id)) {
        const auto value = call.server().control.get(raw);
        if (!value) return call.fail(value.error());
        reply_value(req, *value, size);
        return;
    }
    if (const int refused = refusal(call, raw, Access::read)) return call.fail(Errno(refused));
    const auto where = ops::asks_where(raw);
    if (where && call.ctx().tree.pool().files.control) {
        call.run([=](ops::Context& ctx, const ops::Request&) { return ops::tell_where(ctx, id, *where); },
                 [size](fuse_req_t to, const std::string& value) { return reply_value(to, value, size); });
        return;
    }
    call.run(
        [=, name = std::string(raw)](ops::Context& ctx, const ops::Request&) -> Result<std::string> {
            std::string value(size, '\0');
            const auto bytes = std::as_writable_bytes(std::span<char>(value.data(), value.size()));
            const std::size_t used = TRY(ops::getxattr(ctx, id, name.c_str(), bytes));
            value.resize(used);
            return value;
        },
        [size](fuse_req_t to, const std::string& value) { return reply_value(to, value, size); });
}

void on_listxattr(fuse_req_t req, fuse_ino_t id, std::size_t size) {
    Call call(req, Slot::listxattr);
    if (control::is_control_file(id)) {
        reply_value(req, call.server().control.list(id), size);
        return;
    }
    const int refused = refusal(call, "", Access::list);
    if (refused == ENODATA) {
        reply_value(req, {}, size);
        return;
    }
    if (refused) return call.fail(Errno(refused));
    call.run([id](ops::Context& ctx, const ops::Request& request) { return ops::listxattr(ctx, request, id); },
             [size](fuse_req_t to, const std::string& names) { return reply_value(to, names, size); });
}

// Answered by a daemon that is ready to leave: whatever is asked after that, in any way, is for the next one.
void change_branches(const Call& call, std::string value) {
    Server& server = call.server();
    call.run_later(
        [&server, value = std::move(value)](ops::Context& ctx, const ops::Request&) -> Result<control::Succession> {
            auto plan = TRY(server.control.plan_branches(ctx, value, server.takeover.can_be_followed()));
            const std::string why = hand_over(server, plan);
            if (why.empty()) return plan;
            log::warn("branches: nothing is changed: {}", why);
            return Errno(EBUSY);
        },
        [&server](fuse_req_t req, const control::Succession&) {
            server.has_answered.store(true);
            const int rc = fuse_reply_err(req, 0);
            leave_to_next(server);
            return rc;
        },
        [&server](ops::Context&, const control::Succession&) { leave_to_next(server); });
}

void on_setxattr(fuse_req_t req, fuse_ino_t id, const char* raw, const char* value, std::size_t size, int flags) {
    Call call(req, Slot::setxattr);
    if (control::is_control_file(id)) {
        // Whoever changes where all users' files go has to be root, whatever the kernel checks.
        const bool root = fuse_req_ctx(req)->uid == 0;
        if (root && control::ControlFile::is_of_branches(raw)) return change_branches(call, std::string(value, size));
        return call.answer(root ? call.server().control.set(call.ctx(), raw, std::string_view(value, size))
                                : Status(Errno(EPERM)));
    }
    if (ops::asks_where(raw) && call.ctx().tree.pool().files.control) return call.fail(Errno(EPERM));
    if (const int refused = refusal(call, raw, Access::change)) return call.fail(Errno(refused));
    call.run(
        [=, name = std::string(raw), bytes = std::string(value, size)](ops::Context& ctx, const ops::Request& request) {
            return ops::setxattr(ctx, request, id, name.c_str(), std::as_bytes(std::span(bytes.data(), bytes.size())),
                                 flags);
        });
}

void on_removexattr(fuse_req_t req, fuse_ino_t id, const char* raw) {
    Call call(req, Slot::removexattr);
    if (control::is_control_file(id)) return call.fail(Errno(EPERM));
    if (const int refused = refusal(call, raw, Access::change)) return call.fail(Errno(refused));
    call.run([id, name = std::string(raw)](ops::Context& ctx, const ops::Request& request) {
        return ops::removexattr(ctx, request, id, name.c_str());
    });
}

void on_statfs(fuse_req_t req, fuse_ino_t id) {
    if (control::is_control_file(id)) id = kRootId;
    Call(req, Slot::statfs)
        .run([id](ops::Context& ctx, const ops::Request&) { return ops::statfs(ctx, id); },
             [](fuse_req_t to, const struct statvfs& st) { return fuse_reply_statfs(to, &st); });
}

// With default_permissions the kernel decides itself; without, the daemon allows what the branch would.
void on_access(fuse_req_t req, fuse_ino_t id, int) {
    Call call(req, Slot::access);
    call.run([look = attr_of(call.server(), id)](ops::Context& ctx, const ops::Request& request) -> Status {
        TRY(look(ctx, request));
        return {};
    });
}

}  // namespace

void add_attribute_handlers(fuse_lowlevel_ops& table) {
    table.getattr = on_getattr;
#if PLYFS_FUSE_HAS_STATX
    table.statx = on_statx;
#endif
    table.setattr = on_setattr;
    table.readlink = on_readlink;
    table.getxattr = on_getxattr;
    table.listxattr = on_listxattr;
    table.setxattr = on_setxattr;
    table.removexattr = on_removexattr;
    table.statfs = on_statfs;
    table.access = on_access;
}

}  // namespace plyfs::fuse

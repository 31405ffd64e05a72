#include "overlay/staging.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "branch/acl.h"
#include "overlay/marks.h"
#include "sys/attributes.h"
#include "sys/copy_data.h"
#include "sys/cred.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

sys::XattrRule rule_of(std::string_view name) {
    if (marks::is_private_xattr(name) || acl::is_stored_form(name)) return sys::XattrRule::skip;
    // Owner, mode and content are what a file is; a label or a comment that the branch can not store is not worth
    // refusing the write. ACLs and capabilities decide who may do what and must arrive.
    if (name.starts_with("user.") || name.starts_with("trusted.")) return sys::XattrRule::carry_if_able;
    return name == "security.capability" || name.starts_with(acl::kPrefix) ? sys::XattrRule::carry
                                                                           : sys::XattrRule::carry_if_able;
}

// Attributes that have another name on the target, or ids in them.
Status carry_xattrs(BorrowedFd from, BorrowedFd to, const Carry& carry) {
    for (const auto& name : TRY(sys::list_xattr(from))) {
        const auto rule = rule_of(name);
        const auto seen = carry.from.seen_xattr(name);
        if (rule == sys::XattrRule::skip || !seen) continue;
        const auto stored = carry.to.stored_xattr(*seen);
        if (!stored) continue;
        auto value = sys::get_xattr_all(from, name.c_str());
        if (value.failed_with(ENODATA)) continue;
        auto done = value ? sys::set_xattr(to, stored->c_str(), carry.ids.settled_value(*seen, std::move(*value)))
                          : Status(value.error());
        // EPERM: attributes of users are for plain files and directories.
        const bool not_able = done.failed_with(ENOTSUP) || (*stored != *seen && done.failed_with(EPERM));
        if (!done && !(not_able && rule_of(*seen) == sys::XattrRule::carry_if_able)) return done;
    }
    return {};
}

Status copy_metadata(const WorkDir& work, BorrowedFd from, BorrowedFd to, const sys::Stat& st, const Carry* carry) {
    if (!carry || carry->is_plain()) return sys::copy_metadata(from, to, st, rule_of, work.inherited());
    sys::Stat settled = st;
    carry->ids.settle(settled);
    sys::Stat inode = settled;
    if (carry->to.overrides() && !S_ISLNK(st.stx_mode)) {
        const auto own = TRY(sys::stat_fd(to));
        inode.stx_uid = own.stx_uid;
        inode.stx_gid = own.stx_gid;
        inode.stx_mode = static_cast<std::uint16_t>((st.stx_mode & S_IFMT) | inode_permissions(st));
    }
    const auto none = [](std::string_view) { return sys::XattrRule::skip; };
    TRY(sys::copy_metadata(from, to, inode, none, work.inherited()));
    TRY(carry_xattrs(from, to, *carry));
    if (carry->to.overrides()) return carry->to.store(to, settled);
    // An ACL has changed the mode once more.
    return S_ISLNK(st.stx_mode) ? Status() : sys::set_mode(to, st.stx_mode);
}

Result<Staged> new_file(WorkDir& work) {
    auto file = sys::open_tmpfile(work.fd(), O_RDWR, 0600);
    if (file) return Staged(work, std::move(*file), std::nullopt);
    const int e = file.error().value();
    if (e != EOPNOTSUPP && e != EISDIR && e != EINVAL) return file.error();
    auto temp = work.next();
    auto named = TRY(sys::open_file(work.fd(), temp.name(), O_RDWR | O_CREAT | O_EXCL, 0600));
    return Staged(work, std::move(named), std::move(temp));
}

// Where a file system can not take space beforehand it is met with while copying.
Status reserve_space(BorrowedFd file, std::uint64_t bytes) {
    auto taken = sys::allocate(file, FALLOC_FL_KEEP_SIZE, 0, bytes);
    return taken.failed_with(EOPNOTSUPP) ? Status() : taken;
}

Result<Staged> stage_regular(WorkDir& work, const CopySource& source, const std::function<bool()>& cancelled) {
    auto staged = TRY(new_file(work));
    if (source.metacopy) {
        TRY(sys::set_size(staged.fd(), static_cast<off_t>(source.st.stx_size)));
        // By a descriptor that all calls take, if it can be opened.
        const auto from = sys::reopen(source.fd, O_RDONLY);
        TRY(copy_metadata(work, from ? BorrowedFd(*from) : source.fd, staged.fd(), source.st, source.carry));
        TRY(marks::set_metacopy(staged.fd(), work.marks()));
        return staged;
    }
    auto from = TRY(sys::reopen(source.content.valid() ? source.content : source.fd, O_RDONLY));
    if (source.data_bytes > 0) {
        sys::RegistrationCred reserve;  // the caller's file: root's reserved blocks are not his
        if (source.reserve) TRY(reserve_space(staged.fd(), source.data_bytes));
        TRY(sys::copy_data(from, staged.fd(), source.data_bytes, cancelled));
    }
    // The same file but for a metacopy's, by a descriptor that more calls take.
    TRY(copy_metadata(work, source.content.valid() ? source.fd : BorrowedFd(from), staged.fd(), source.st,
                      source.carry));
    if (source.sync && source.data_bytes > 0) TRY(work.settle_content(staged.fd()));
    return staged;
}

// Symlinks, FIFOs, sockets and devices have no nameless form: made under a temporary name.
Result<Staged> stage_special(WorkDir& work, const CopySource& source) {
    const mode_t type = source.st.stx_mode & S_IFMT;
    if (source.carry && source.carry->to.overrides() && !S_ISLNK(type)) {
        auto staged = TRY(new_file(work));
        TRY(copy_metadata(work, source.fd, staged.fd(), source.st, source.carry));
        return staged;
    }
    auto temp = work.next();
    if (S_ISLNK(type)) {
        TRY(sys::make_symlink(work.fd(), temp.name(), TRY(read_target(source.fd)).c_str()));
    } else {
        const dev_t device = makedev(source.st.stx_rdev_major, source.st.stx_rdev_minor);
        TRY(sys::make_node(work.fd(), temp.name(), type | 0600, device));
    }
    auto fd = sys::open_path(work.fd(), temp.name());
    if (!fd) {
        work.discard(temp);
        return fd.error();
    }
    Staged staged(work, std::move(*fd), std::move(temp));
    TRY(copy_metadata(work, source.fd, staged.fd(), source.st, source.carry));
    return staged;
}

}  // namespace

Staged::~Staged() {
    if (work_ && temp_) work_->discard(*temp_);
}

// It stands under its name already, so a file system without such flags is no reason to call it failed.
Status Staged::protect_published() const {
    auto done = sys::set_protection_flags(fd_, protection_);
    if (!done) log::warn("a copy is not append-only as its original: {}", log::errno_text(done.error().value()));
    return {};
}

Status Staged::publish(BorrowedFd dir, const Name& name) {
    if (!temp_) {
        TRY(sys::link_fd(fd_, dir, name));
        return protect_published();
    }
    auto moved = sys::rename_entry(work_->fd(), temp_->name(), dir, name, RENAME_NOREPLACE);
    if (moved.failed_with(EINVAL)) moved = sys::rename_entry(work_->fd(), temp_->name(), dir, name);
    if (!moved) return moved;
    temp_.reset();
    return protect_published();
}

Status Staged::publish_over(BorrowedFd dir, const Name& name) {
    if (!temp_) {
        auto temp = work_->next();
        TRY(sys::link_fd(fd_, work_->fd(), temp.name()));
        temp_ = std::move(temp);
    }
    auto moved = sys::rename_entry(work_->fd(), temp_->name(), dir, name);
    const int e = moved ? 0 : moved.error().value();
    if (e == ENOTDIR || e == EISDIR || e == ENOTEMPTY || e == EEXIST) {
        // A directory can not replace a whiteout or what holds whiteouts, nor a file a directory: exchanged, and the
        // old one is taken away.
        moved = sys::rename_entry(work_->fd(), temp_->name(), dir, name, RENAME_EXCHANGE);
        // Published with that: what can not be taken away is left for the next sweep.
        if (moved && !work_->take_away(work_->fd(), temp_->name(), false))
            log::warn("work directory: a leftover stays");
    }
    if (!moved) return moved;
    temp_.reset();
    return protect_published();
}

Result<std::string> read_target(BorrowedFd symlink) {
    auto target = sys::read_symlink(symlink);
    if (!target.failed_with(EINVAL) && !target.failed_with(ENOENT)) return target;
    // A symlink that is kept as a plain file with its target inside.
    const auto st = TRY(sys::stat_fd(symlink));
    if (!sys::is_regular(st) || st.stx_size >= PATH_MAX) return Errno(EINVAL);
    std::string text(st.stx_size, '\0');
    const auto bytes = std::as_writable_bytes(std::span<char>(text.data(), text.size()));
    text.resize(TRY(sys::read_at(TRY(sys::reopen(symlink, O_RDONLY)), bytes, 0)));
    return text;
}

Result<Staged> stage_copy(WorkDir& work, const CopySource& source, const std::function<bool()>& cancelled) {
    if (sys::is_dir(source.st)) return Errno(EISDIR);
    // A file that is only shown as a link: a copy of that would be without its content.
    const bool kept_in_file = source.carry && source.carry->from.overrides();
    if (S_ISLNK(source.st.stx_mode) && !kept_in_file && !S_ISLNK(TRY(sys::stat_fd(source.fd)).stx_mode)) {
        return Errno(EPERM);
    }
    const bool regular = sys::is_regular(source.st);
    auto staged = TRY(regular ? stage_regular(work, source, cancelled) : stage_special(work, source));
    if (source.mark) TRY(source.mark(staged.fd()));
    if (!regular) return staged;
    if (!source.metacopy && source.data_bytes < source.st.stx_size) {
        // A truncated copy is a changed file. XFS and tmpfs would not say so: the size will be as it is already.
        TRY(sys::set_times(staged.fd(), {0, UTIME_OMIT}, {0, UTIME_NOW}));
    }
    if (source.marks_protection) {
        TRY(mark_protection(work, staged.fd(), source.st));
    } else {
        staged.protect_with(sys::Protection::of(source.st).flags());
    }
    return staged;
}

Result<Staged> stage_directory(WorkDir& work, BorrowedFd original, const sys::Stat& st, bool opaque,
                               const Carry* carry) {
    auto temp = work.next();
    TRY(sys::make_dir(work.fd(), temp.name(), 0700));
    auto fd = sys::open_dir_path(work.fd(), temp.name());
    if (!fd) {
        work.discard(temp);
        return fd.error();
    }
    Staged staged(work, std::move(*fd), std::move(temp));
    TRY(copy_metadata(work, original, staged.fd(), st, carry));
    if (opaque) TRY(marks::make_opaque(staged.fd(), work.marks()));
    // Immutable or append-only, the copy could not take the children that are about to be copied into it.
    return staged;
}

Status mark_protection(const WorkDir& work, BorrowedFd copy, const sys::Stat& original) {
    const auto protection = sys::Protection::of(original);
    if (!protection.any()) return {};
    auto marked = marks::set_protection(copy, protection, work.marks());
    if (!marked.failed_with(EOPNOTSUPP) && !marked.failed_with(EPERM)) return marked;
    log::warn("a copy is not immutable or append-only as its original: {}", log::errno_text(marked.error().value()));
    return {};
}

}  // namespace plyfs

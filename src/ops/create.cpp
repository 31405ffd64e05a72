#include "ops/create.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/insist.h"
#include "ops/place.h"
#include "ops/protection.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// A new directory is one nobody else has; a layer below it is hidden by its opaque mark.
// file: its descriptor, if there is one.
Result<Entry> enter_new(Context& ctx, const NodeRef& parent, const Placed& placed, const Name& name,
                        BorrowedFd file = {}) {
    Resolved found;
    found.branch = placed.branch;
    const Branch& on = ctx.tree.set().at(placed.branch);
    found.st = TRY(insist([&] { return file.valid() ? on.stat_fd(file) : on.stat_at(*placed.dir, name); }));
    if (sys::is_dir(found.st)) {
        found.layers = placed.also;
        found.layers.push_back(placed.branch);
        std::sort(found.layers.begin(), found.layers.end());
    }
    return insist([&] { return enter(ctx, parent, {Layer{placed.branch, placed.dir}}, name, found); });
}

Result<Entry> make_entry(Context& ctx, const Request& request, NodeId parent_id, const Name& name,
                         const NewObject& what, const Maker& make) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    return enter_new(ctx, parent, TRY(place(ctx, request, parent, name, what, make)), name);
}

int creation_flags(int flags) {
    // The descriptor serves reads, writes and registration: O_DIRECT and O_APPEND are the kernel's business.
    return (flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME)) | O_CREAT | O_EXCL;
}

}  // namespace

Result<Entry> mkdir(Context& ctx, const Request& request, NodeId parent, const Name& name, mode_t mode) {
    return make_entry(ctx, request, parent, name, {.type = S_IFDIR},
                      [&](BorrowedFd dir, const Name& as) { return sys::make_dir(dir, as, mode & 07777); });
}

Result<Entry> mknod(Context& ctx, const Request& request, NodeId parent, const Name& name, mode_t mode, dev_t device) {
    // It would be a whiteout: made by us, it hides; made by a user, it would vanish before his eyes.
    if (S_ISCHR(mode) && device == 0 && ctx.tree.set().uses_marks()) return Errno(EPERM);
    const NewObject what{.type = mode & S_IFMT, .major = major(device), .minor = minor(device), .by_mknod = true};
    // Only a layered mount's upper keeps the kind of an object beside the inode, and it is the first branch.
    const bool beside = ctx.tree.set().at(0).ownership().overrides();
    return make_entry(ctx, request, parent, name, what, [&](BorrowedFd dir, const Name& as) {
        return beside ? sys::make_node(dir, as, S_IFREG | (mode & 07777), 0) : sys::make_node(dir, as, mode, device);
    });
}

Result<Entry> symlink(Context& ctx, const Request& request, NodeId parent, const Name& name, const char* target) {
    return make_entry(ctx, request, parent, name, {.type = S_IFLNK},
                      [&](BorrowedFd dir, const Name& as) { return sys::make_symlink(dir, as, target); });
}

namespace {

// The kernel opens what is answered to CREATE without asking whether the caller may open it, so what is there already
// is for another walk (ESTALE), which finds it and asks. But what this caller has just made by the same request is his.
Result<Created> open_own(Context& ctx, const Request& request, NodeId parent_id, const Name& name, int flags) {
    const Entry entry = TRY(lookup(ctx, parent_id, name));
    const bool own = request.resent && S_ISREG(entry.attr.st.stx_mode) && entry.attr.st.stx_uid == request.caller.uid;
    auto opened = own ? open(ctx, request, entry.id, flags & ~O_CREAT) : Errno(ESTALE);
    if (!opened) {
        forget(ctx, entry.id, 1);
        return opened.error();
    }
    return Created{entry, *opened};
}

}  // namespace

Result<Created> create(Context& ctx, const Request& request, NodeId parent_id, const Name& name, int flags,
                       mode_t mode) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    // The kernel may remember that the name is missing, and others have made it on any branch since: another file
    // beside would hide theirs.
    if (!(flags & O_EXCL) && !ctx.tree.set().rules().fixed) {
        auto there = open_own(ctx, request, parent_id, name, flags);
        if (there || !there.failed_with(ENOENT)) return there;
    }
    UniqueFd file;
    auto placed = place(ctx, request, parent, name, {.type = S_IFREG}, [&](BorrowedFd dir, const Name& as) -> Status {
        file = TRY(sys::open_file(dir, as, creation_flags(flags), mode & 07777));
        return {};
    });
    if (placed.has_value()) {
        const Entry entry = TRY(enter_new(ctx, parent, *placed, name, file));
        auto opened = open_new(ctx, entry.id, flags, {std::move(file), entry.attr.st, placed->branch});
        if (!opened) {
            forget(ctx, entry.id, 1);
            return opened.error();
        }
        return Created{entry, *opened};
    }
    if (!placed.failed_with(EEXIST) || (flags & O_EXCL)) return placed.error();
    return open_own(ctx, request, parent_id, name, flags);
}

Result<Created> tmpfile(Context& ctx, const Request& request, NodeId parent_id, int flags, mode_t mode) {
    const NodeRef parent = TRY(node_of(ctx, parent_id));
    TRY(may_gain_name(parent));
    Errno last(EROFS);
    for (BranchIndex branch : TRY(ctx.tree.rank_branches(parent, {})).branches) {
        const Branch& on = ctx.tree.set().at(branch);
        SharedDir dir;
        auto file = [&]() -> Result<UniqueFd> {
            TRY(ensure_dir_on(ctx.tree, parent, branch));
            dir = TRY(ctx.tree.dir_on(parent, branch));
            sys::ActAs caller(maker_of(on, request.caller));
            TRY(caller.status());
            return sys::open_tmpfile(*dir, O_RDWR | (flags & O_EXCL), mode & 07777);
        }();
        if (!file) {
            last = file.error();
            if (last == ENOSPC || last == EDQUOT || last == EROFS) continue;
            return last;
        }
        TRY(settle_new(on, request.caller, *dir, *file, {.type = S_IFREG}));
        const auto st = TRY(on.stat_fd(*file));
        bool made;
        const NodeRef node = ctx.tree.nodes().find_or_make(sys::key_of(st), made);
        {
            LockedNode state(*node);
            state->winner = branch;
            state->unlinked = true;
            state->shown_inode = ctx.tree.shown_inodes().of(ctx.tree.set(), sys::device_of(st), st.stx_ino);
            // Not as a writer, for whom a move to another branch would look (node/move).
            state->pinned = TRY(sys::reopen(*file, O_PATH));
        }
        const Entry entry = TRY(entry_of(ctx, node));
        auto opened = open_new(ctx, entry.id, flags, {std::move(*file), st, branch});
        if (!opened) {
            forget(ctx, entry.id, 1);
            return opened.error();
        }
        return Created{entry, *opened};
    }
    return last;
}

}  // namespace plyfs::ops

#include "ctl/layer_content.h"

#include "base/log.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "overlay/resolver.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

// None: it is gone.
UniqueFd open_seen(BorrowedFd root, const std::string& path) {
    auto at = walk_from_root(root, path);
    if (!at && (at.failed_with(ENOENT) || at.failed_with(ENOTDIR))) return {};
    if (!at) fail_reading(path, at.error());
    auto fd = sys::open_path(at->dir, *Name::parse(at->name));
    if (fd.failed_with(ENOENT)) return {};
    if (!fd) fail_reading(path, fd.error());
    return std::move(*fd);
}

}  // namespace

void fail_reading(const std::string& path, Errno e) {
    throw Failure("/" + shown(path) + " can not be read: " + log::errno_text(e.value()));
}

void give_changes(const Changes& changes, LayerReceiver& to) {
    Progress progress(changes.bytes);
    std::map<std::uint64_t, std::string> first_names;  // by inode, of files with several
    for (const Change& change : changes.all) {
        if (change.kind == Change::Kind::deleted) {
            to.hide(change.path);
            continue;
        }
        Content content{change.path, {}, open_seen(changes.root, change.path), {}};
        if (!content.fd.valid()) continue;
        const auto st = sys::stat_fd(content.fd);
        if (!st) fail_reading(change.path, st.error());
        content.st = *st;
        if (!sys::is_dir(*st) && st->stx_nlink > 1) {
            const auto [first, is_first] = first_names.emplace(st->stx_ino, change.path);
            if (!is_first) content.first = first->second;
        }
        to.take(content);
        const bool has_bytes = sys::is_regular(*st) && content.first.empty();
        progress.add(has_bytes ? st->stx_size : 0, change.path);
    }
}

}  // namespace plyfs::ctl

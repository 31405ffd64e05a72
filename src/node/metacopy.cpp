#include "node/metacopy.h"

#include <fcntl.h>

#include <algorithm>

#include "base/defer.h"
#include "base/log.h"
#include "node/source.h"
#include "overlay/interrupted_copy.h"
#include "overlay/marks.h"
#include "sys/attributes.h"
#include "sys/copy_data.h"
#include "sys/cred.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {

Status complete_metacopy(Tree& tree, const NodeRef& node, std::uint64_t keep_bytes,
                         const std::function<bool()>& cancelled) {
    const auto object = TRY(tree.find_object(node));
    const auto content = TRY(tree.find_content(node));
    const std::uint64_t size = std::min<std::uint64_t>(object.st.stx_size, keep_bytes);
    const auto to = TRY(sys::reopen(object.fd, O_RDWR));
    // What an attempt that was interrupted left behind is some of the same content: where it can not be taken away it
    // is written once more. Never by way of another size, which is what the file's size is as long as the mark is
    // there.
    const auto drop_data = [&] {
        const auto length = static_cast<off_t>(object.st.stx_size);
        return length == 0 || sys::allocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length);
    };
    const auto time = [](const statx_timestamp& t) { return timespec{t.tv_sec, t.tv_nsec}; };
    // All of this takes file capabilities away and changes the times, and nobody has written yet.
    BeforeCopy before{time(object.st.stx_atime), time(object.st.stx_mtime), std::nullopt};
    if (auto capability = sys::get_xattr_all(to, "security.capability")) before.capability = std::move(*capability);
    note_before_copy(to, before, tree.set().marks());
    if (!drop_data()) log::debug("the blocks of a metacopy were not given back");
    Defer unused([&] {
        if (!drop_data()) log::debug("the blocks of a metacopy were not given back");
        auto restored = put_back(to, before);
        if (restored) restored = forget_before_copy(to);
        if (!restored)
            log::warn("a file that was not copied up looks changed: {}", log::errno_text(restored.error().value()));
    });
    if (size > 0) {
        sys::RegistrationCred reserve;
        TRY(sys::copy_data(TRY(sys::reopen(content.fd, O_RDONLY)), to, size, cancelled));
    }
    TRY(put_back(to, before));
    if (size > 0 && tree.layer_options().sync) TRY(TRY(tree.workdir_of(object.branch))->settle_content(to));
    TRY(forget_before_copy(to));
    // Truncated it is a changed file, and never seen at its old size without the mark: the rest would be zeros.
    const bool whole = size == object.st.stx_size;
    if (!whole) {
        TRY(sys::change_size(to, static_cast<off_t>(size)));
        TRY(sys::set_times(to, before.atime, {0, UTIME_NOW}));
    }
    LockedNode state(*node);
    unused.cancel();  // from here on the mark may be gone
    TRY(marks::clear_metacopy(to));
    state->rare.set(&Rare::redirect, nullptr);
    take_content(state, whole);
    state->rare.set(&Rare::detours, nullptr);
    tree.counters().copyups.fetch_add(1, std::memory_order_relaxed);
    return {};
}

}  // namespace plyfs

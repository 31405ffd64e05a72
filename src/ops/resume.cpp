#include "ops/resume.h"

#include "ops/lookup.h"
#include "sys/stat.h"

namespace plyfs::ops {
namespace {

bool has_backing(IoMode mode) {
    return mode != IoMode::cached;
}

// As it was registered. Of another file than the one that answers now it is one of an older generation, as it was
// before: who writes is sent to another node id.
std::shared_ptr<Backing> adopt_backing(Context& ctx, const NodeRef& node, const LeftOpen& left) {
    auto content = ctx.tree.find_content(node);
    bool same = false;
    if (content && left.backing != sys::FileKey{}) {
        const auto st = sys::stat_fd(content->fd);
        same = st && sys::key_of(*st) == left.backing;
    }
    const std::uint32_t generation = same ? content->data_generation : node->data_generation() - 1;
    const BranchIndex branch = content ? content->branch : BranchIndex{0};
    UniqueFd path = same ? std::move(content->fd) : UniqueFd();
    ctx.tree.counters().backings_opened.fetch_add(1, std::memory_order_relaxed);
    return std::make_shared<Backing>(ctx.registrar, left.backing_id, branch, generation, std::move(path),
                                     ctx.tree.kept_files());
}

}  // namespace

Result<FileHandle*> resume(Context& ctx, const LeftOpen& left) {
    const NodeRef node = TRY(node_of(ctx, left.id));
    if (!node->is_regular()) return Errno(ESTALE);
    auto handle = std::make_unique<FileHandle>(node, left.id, left.flags, left.mode);
    bool known;
    {
        LockedNode state(*node);
        const Face* face = state->face_of(left.id);
        if (!face) return Errno(ESTALE);
        known = face->opens && face->opens->backing;
    }
    // Asked of the branch without the lock; nobody else opens anything yet.
    std::shared_ptr<Backing> backing;
    if (has_backing(left.mode) && !known) backing = adopt_backing(ctx, node, left);
    LockedNode state(*node);
    Face* face = state->face_of(left.id);
    if (!face) return Errno(ESTALE);
    Opens& opens = face->need_opens();
    if (backing) opens.backing = std::move(backing);
    ++(has_backing(left.mode) ? opens.passthrough : opens.cached);
    if (!handle->passes_through()) opens.kept.push_back(&handle->kept());
    if (handle->writes()) ++state->writers;
    // What the process before knew of it is not written down.
    state->had_writer = state->passed_through = state->changed_since_copy = true;
    return handle.release();
}

sys::FileKey backing_of(FileHandle& handle) {
    std::shared_ptr<Backing> backing;
    {
        LockedNode state(*handle.node());
        const Face* face = state->face_of(handle.id());
        if (face && face->opens) backing = face->opens->backing;
    }
    if (!backing || !backing->path().valid()) return {};
    const auto st = sys::stat_fd(backing->path());
    return st ? sys::key_of(*st) : sys::FileKey{};
}

}  // namespace plyfs::ops

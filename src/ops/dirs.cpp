#include "ops/dirs.h"

#include <dirent.h>

#include <algorithm>

#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

Result<std::vector<std::uint64_t>> devices_of(const Layers& layers) {
    std::vector<std::uint64_t> devices;
    for (const Layer& layer : layers) devices.push_back(sys::device_of(TRY(sys::stat_fd(layer.fd()))));
    return devices;
}

}  // namespace

class DirReading {
  public:
    DirReading(Context& ctx, DirHandle& handle, bool plus, DirSink& sink)
        : ctx_(ctx), handle_(handle), plus_(plus), sink_(sink), lock_(handle.mutex_) {}

    Status run(std::int64_t offset) NO_THREAD_SAFETY_ANALYSIS {
        Listing& listing = handle_.listing_;
        if (offset == 0) TRY(refresh());
        if (offset != handle_.at_ || offset == 0) TRY(listing.seek(offset));
        handle_.at_ = offset;
        bool any = false;
        ListedEntry entry;
        for (;;) {
            auto more = listing.next(entry);
            if (!more && !any) return more.error();
            if (!more || !*more) return {};
            auto taken = give(entry);
            if (!taken && !any) return taken.error();
            if (!taken || !*taken) {
                listing.unread();
                return {};
            }
            handle_.at_ = entry.offset;
            any = true;
        }
    }

  private:
    // A copy-up or a creation since the directory was opened may have given it another branch.
    Status refresh() NO_THREAD_SAFETY_ANALYSIS {
        std::vector<BranchIndex> now;
        {
            LockedNode state(*handle_.node_);
            if (state->unlinked) return {};
            now = state->layers;
        }
        const auto& had = handle_.listing_.layers();
        const bool same = std::equal(now.begin(), now.end(), had.begin(), had.end(),
                                     [](BranchIndex branch, const Layer& layer) { return branch == layer.branch; });
        if (same) return {};
        Layers layers = TRY(ctx_.tree.layers_of(handle_.node_));
        handle_.devices_ = TRY(devices_of(layers));
        handle_.listing_.restart(std::move(layers));
        return {};
    }

    // False: no room left. An entry that is gone by now counts as given.
    Result<bool> give(const ListedEntry& entry) NO_THREAD_SAFETY_ANALYSIS {
        if (entry.name == "." || entry.name == "..") {
            return sink_.add(entry.name, entry.name == "." ? shown(handle_.node_) : parents(), entry.type, entry.offset,
                             nullptr);
        }
        const auto& layers = handle_.listing_.layers();
        if (!plus_) {
            const auto layer = std::find_if(layers.begin(), layers.end(),
                                            [&](const Layer& one) { return one.branch == entry.branch; });
            const std::uint64_t device = handle_.devices_[static_cast<std::size_t>(layer - layers.begin())];
            const auto inode = ctx_.tree.shown_inodes().of(ctx_.tree.set(), device, entry.ino);
            // A plain file may stand for another kind of object there, which only a stat tells.
            const bool unsure = entry.type == DT_REG && ctx_.tree.set().at(entry.branch).ownership().overrides();
            return sink_.add(entry.name, inode, unsure ? static_cast<unsigned char>(DT_UNKNOWN) : entry.type,
                             entry.offset, nullptr);
        }
        const Name name = TRY(Name::parse(entry.name));
        auto found = find_winner(ctx_.tree.set(), layers, name);
        if (!found) return found.failed_with(ENOENT) ? Result<bool>(true) : found.error();
        const Entry answer = TRY(enter(ctx_, handle_.node_, layers, name, *found));
        const auto type = static_cast<unsigned char>(answer.attr.st.stx_mode >> 12 & 15);
        if (sink_.add(entry.name, answer.attr.st.stx_ino, type, entry.offset, &answer)) return true;
        forget(ctx_, answer.id, 1);
        return false;
    }

    static std::uint64_t shown(const NodeRef& node) { return LockedNode(*node)->shown_inode; }
    std::uint64_t parents() {
        NodeRef parent;
        {
            LockedNode state(*handle_.node_);
            parent = state->links.empty() ? handle_.node_ : state->links[0].parent;
        }
        return shown(parent);
    }

    Context& ctx_;
    DirHandle& handle_;
    bool plus_;
    DirSink& sink_;
    MutexLock lock_;
};

Result<DirHandle*> opendir(Context& ctx, NodeId id) {
    NodeRef node = TRY(node_of(ctx, id));
    if (!node->is_dir()) return Errno(ENOTDIR);
    Layers layers;
    // A directory that was removed while somebody is in it has no entries.
    if (!LockedNode(*node)->unlinked) layers = TRY(ctx.tree.layers_of(node));
    auto devices = TRY(devices_of(layers));
    const auto hidden = ctx.tree.reserved_prefix(*node);
    return new DirHandle(std::move(node), std::move(layers), std::move(devices), ctx.tree.shared_set(), hidden);
}

void releasedir(DirHandle* handle) {
    delete handle;
}

Status readdir(Context& ctx, DirHandle& handle, std::int64_t offset, bool plus, DirSink& sink) {
    return DirReading(ctx, handle, plus, sink).run(offset);
}

Status fsyncdir(Context& ctx, NodeId id, bool data_only) {
    const NodeRef node = TRY(node_of(ctx, id));
    if (LockedNode(*node)->unlinked) return {};
    for (const Layer& layer : TRY(ctx.tree.layers_of(node))) {
        if (!ctx.tree.set().at(layer.branch).writable()) continue;
        TRY(sys::sync_file(TRY(sys::open_dir_for_reading(layer.fd())), data_only));
    }
    return {};
}

}  // namespace plyfs::ops

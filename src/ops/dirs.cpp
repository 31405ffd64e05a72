#include "ops/dirs.h"

#include <dirent.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/origin.h"
#include "ops/parts.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs::ops {
namespace {

// Longer than a tick of the clock that file systems take their times from: two changes within one tick leave the same
// time, so a directory that changed just now can not be told from one that will have changed again.
constexpr std::int64_t kSettledAfter = 100'000'000;  // nanoseconds

// Of a listing whose place is not known any more: no offset of any entry.
constexpr std::int64_t kNowhere = -1;

// How often a directory is read again because files of the pool have moved meanwhile.
constexpr int kMostLooks = 8;

Result<std::vector<DirPart>> parts_of(const Layers& layers) {
    std::vector<DirPart> parts;
    parts.reserve(layers.size());
    for (const Layer& layer : layers) {
        const auto st = TRY(sys::stat_fd(layer.fd()));
        parts.push_back({sys::key_of(st), st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec});
    }
    return parts;
}

std::vector<std::uint64_t> devices_of(const std::vector<DirPart>& parts) {
    std::vector<std::uint64_t> devices;
    devices.reserve(parts.size());
    for (const DirPart& part : parts) devices.push_back(part.key.dev);
    return devices;
}

// Whether each further change will be seen by its time. Other machines have other clocks and tell us late.
bool would_tell(const BranchSet& set, const Layers& layers, const std::vector<DirPart>& parts) {
    struct timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    const auto is_settled = [&](const DirPart& part) {
        const std::int64_t seconds = now.tv_sec - part.seconds;
        if (seconds < 0 || seconds > 1) return seconds > 0;
        return seconds * 1'000'000'000 + now.tv_nsec - part.nanoseconds > kSettledAfter;
    };
    return std::all_of(parts.begin(), parts.end(), is_settled) &&
           std::none_of(layers.begin(), layers.end(),
                        [&](const Layer& layer) { return set.at(layer.branch).network(); });
}

// Whether the kernel may serve the directory about to be opened from the listing it kept. What changes through the
// mount it notices by itself (each create, unlink or rename raises the directory's version). What changes on a branch
// we notice: a kept listing is right while every part has the change time that it had before the listing was read, as
// long as nobody else had the directory open then, whose older answers might have entered it. And it is not believed
// longer than the names in it: reading it again renews them all at the price of one request.
bool opens_kept_listing(Context& ctx, LockedNode& node, const Layers& layers, std::vector<DirPart> parts) {
    auto& listings = node->as_dir.make().listings;
    if (!listings) listings = std::make_unique<Listings>();
    Listings& known = *listings;
    const auto now = std::chrono::steady_clock::now();
    const bool others = known.open++ != 0;
    if (!known.parts.empty() && known.parts == parts &&
        std::chrono::duration<double>(now - known.read).count() < ctx.timeouts.entry) {
        return true;
    }
    known.parts.clear();
    if (others || !would_tell(ctx.tree.set(), layers, parts)) return false;
    known.parts = std::move(parts);
    known.read = now;
    return false;
}

}  // namespace

class DirReading {
  public:
    DirReading(Context& ctx, DirHandle& handle, bool plus, DirSink& sink)
        : ctx_(ctx), handle_(handle), plus_(plus), sink_(sink), lock_(handle.mutex_) {}

    Status run(std::int64_t offset) NO_THREAD_SAFETY_ANALYSIS {
        Listing& listing = handle_.listing_;
        if (ctx_.tree.can_move_files()) count_reader();
        if (offset == 0) TRY(refresh());
        // Entries are looked at one by one then, and likely looked for later.
        if (plus_) listing.collect_names(ctx_.tree.names_means());
        const SharedNames had = listing.names();
        if (offset != handle_.at_ || offset == 0) TRY(seek(offset));
        if (listing.names() && listing.names() != had) {
            ctx_.tree.keep_names(handle_.node_, handle_.layers_replaced_, listing.names());
        }
        handle_.at_ = offset;
        bool any = false;
        ListedEntry entry;
        for (;;) {
            auto more = listing.next(entry);
            // The entry that could not be told is not to be passed over by who asks for it again.
            if (!more) handle_.at_ = kNowhere;
            if (!more && !any) return more.error();
            // After all there are: some may be missing with their branch.
            if (more && !*more && !any && ctx_.tree.not_found() != ENOENT) return ctx_.tree.not_found();
            if (more && !*more && !any) count_out(handle_);
            if (!more || !*more) return {};
            auto taken = give(entry);
            if (!taken) handle_.at_ = kNowhere;
            if (!taken && !any) return taken.error();
            if (!taken || !*taken) {
                listing.unread();
                return {};
            }
            handle_.at_ = entry.offset;
            any = true;
        }
    }

    static void count_out(DirHandle& handle) NO_THREAD_SAFETY_ANALYSIS {
        if (std::exchange(handle.by_offsets_, false)) --LockedNode(*handle.node_)->as_dir->listings->by_offsets;
    }

  private:
    // Before the parts are looked at: who moves a file gives the directory its part first, and then looks who reads.
    void count_reader() NO_THREAD_SAFETY_ANALYSIS {
        LockedNode state(*handle_.node_);
        if (!handle_.by_offsets_ && (state->unlinked || state->as_dir->layers.size() != 1)) return;
        Listings& listings = *state->as_dir->listings;
        if (!std::exchange(handle_.by_offsets_, true)) ++listings.by_offsets;
        listings.by_offsets_read = std::chrono::steady_clock::now();
    }

    // A file that moves to another branch meanwhile is listed, once. Only a snapshot can be added to.
    Status seek(std::int64_t offset) NO_THREAD_SAFETY_ANALYSIS {
        const auto& moves = ctx_.tree.counters().relocations;
        auto before = moves.load(std::memory_order_acquire);
        TRY(handle_.listing_.seek(offset));
        // Rather an error than names left out.
        if (handle_.succeeds_ && !handle_.listing_.agrees(offset)) {
            handle_.at_ = kNowhere;
            return Errno(ESTALE);
        }
        const bool whole = handle_.listing_.is_whole();
        for (int looks = 0; whole && offset == 0 && looks < kMostLooks; ++looks) {
            const auto now = moves.load(std::memory_order_acquire);
            if (now == std::exchange(before, now)) break;
            auto layers = ctx_.tree.layers_of(handle_.node_);
            if (!layers || layers->empty()) break;
            handle_.devices_ = devices_of(TRY(parts_of(*layers)));
            TRY(handle_.listing_.look_again(std::move(*layers)));
        }
        return {};
    }

    // A copy-up or a creation since the directory was opened may have given it another branch.
    Status refresh() NO_THREAD_SAFETY_ANALYSIS {
        ctx_.tree.hear_names();
        hear_of_parts(ctx_, handle_.node_);
        std::vector<BranchIndex> now;
        std::uint32_t replaced = 0;
        {
            LockedNode state(*handle_.node_);
            if (state->unlinked) return {};
            now = state->as_dir->layers;
            replaced = state->as_dir->layers_replaced;
        }
        const auto& had = handle_.listing_.layers();
        const bool same = std::equal(now.begin(), now.end(), had.begin(), had.end(),
                                     [](BranchIndex branch, const Layer& layer) { return branch == layer.branch; });
        if (same) return {};
        Layers layers = TRY(ctx_.tree.layers_of(handle_.node_));
        handle_.devices_ = devices_of(TRY(parts_of(layers)));
        handle_.listing_.restart(std::move(layers));
        handle_.layers_replaced_ = replaced;
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
            const auto place = static_cast<std::size_t>(layer - layers.begin());
            // What moved away may have been the last that a part had.
            const std::uint64_t device =
                layer != layers.end() ? handle_.devices_[place] : ctx_.tree.set().at(entry.branch).device();
            auto inode = ctx_.tree.shown_inodes().of(ctx_.tree.set(), device, entry.ino);
            if (TRY(may_show_another(entry))) {
                const sys::FileKey own{device, entry.ino, 0, static_cast<std::uint32_t>(DTTOIF(entry.type))};
                auto listed = listed_inode(ctx_.tree, handle_.node_, layers, TRY(Name::parse(entry.name)), own);
                if (listed.failed_with(ENOENT)) return true;
                if (listed) inode = *listed;
            }
            const auto calculated =
                ctx_.tree.calculated_inode(handle_.node_, entry.name, entry.branch, entry.ino, entry.type == DT_DIR);
            if (calculated) inode = *calculated;
            // A plain file may stand for another kind of object there, which only a stat tells.
            const bool unsure = entry.type == DT_REG && ctx_.tree.set().at(entry.branch).shows_other_types();
            return sink_.add(entry.name, inode, unsure ? static_cast<unsigned char>(DT_UNKNOWN) : entry.type,
                             entry.offset, nullptr);
        }
        const Name name = TRY(Name::parse(entry.name));
        const SharedNames& names = handle_.listing_.names();
        Layers few;
        if (names) few = names->filter(layers, entry.name);
        const Layers* among = names ? &few : &layers;
        auto found = find_winner(ctx_.tree.set(), *among, name);
        if (names && (found ? found->other_name : !found.failed_with(ENOENT))) {
            among = &layers;
            found = find_winner(ctx_.tree.set(), *among, name);
        }
        Layers now;
        if (found.failed_with(ENOENT) && ctx_.tree.counters().relocations.load(std::memory_order_acquire) != 0) {
            if (auto layers_now = ctx_.tree.layers_of(handle_.node_)) now = std::move(*layers_now);
            among = &now;
            found = find_winner(ctx_.tree.set(), *among, name);
        }
        if (found.failed_with(ENOENT)) return true;
        // What can not be looked up is listed all the same: whoever looks is told why, and sees the names beside it.
        if (!found) return give_name(entry);
        if (!follow_origin(ctx_.tree, handle_.node_, layers, name, *found)) return give_name(entry);
        const Entry answer = TRY(enter(ctx_, handle_.node_, *among, name, *found));
        const auto type = static_cast<unsigned char>(answer.attr.st.stx_mode >> 12 & 15);
        if (sink_.add(entry.name, answer.attr.st.stx_ino, type, entry.offset, &answer)) return true;
        forget(ctx_, answer.id, 1);
        return false;
    }

    Result<bool> give_name(const ListedEntry& entry) NO_THREAD_SAFETY_ANALYSIS {
        return sink_.add(entry.name, entry.ino, entry.type, entry.offset, nullptr);
    }

    // An entry of the upper directory that may be a copy, or merged with what lies below.
    Result<bool> may_show_another(const ListedEntry& entry) NO_THREAD_SAFETY_ANALYSIS {
        if (!ctx_.tree.origins() || entry.branch != kUpperBranch || entry.type == DT_UNKNOWN) return false;
        if (entry.type == DT_DIR && handle_.listing_.layers().size() > 1) return true;
        return is_impure(ctx_.tree, handle_.node_);
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
    ctx.tree.hear_names();
    hear_of_parts(ctx, node);
    Layers layers;
    const std::uint32_t layers_replaced = LockedNode(*node)->as_dir->layers_replaced;
    // A directory that was removed while somebody is in it has no entries.
    if (!LockedNode(*node)->unlinked) {
        layers = TRY(ctx.tree.layers_of(node));
        if (ctx.tree.drop_removed(node, layers)) layers = TRY(ctx.tree.layers_of(node));
    }
    auto parts = TRY(parts_of(layers));
    auto devices = devices_of(parts);
    const OwnNames hidden = ctx.tree.own_names(*node);
    bool keep;
    {
        LockedNode state(*node);
        keep = opens_kept_listing(ctx, state, layers, std::move(parts));
    }
    return new DirHandle(std::move(node), std::move(layers), std::move(devices), ctx.tree.shared_set(), hidden, keep,
                         layers_replaced, ctx.half_read);
}

void releasedir(DirHandle* handle) {
    handle->note_half_read(false);
    DirReading::count_out(*handle);
    --LockedNode(*handle->node_)->as_dir->listings->open;
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

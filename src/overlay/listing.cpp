#include "overlay/listing.h"

#include <dirent.h>

#include <functional>
#include <limits>
#include <unordered_set>

#include "base/mix.h"
#include "overlay/marks.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

// Beside the types of dirent.h: a file of AUFS', which may hide another name than its own.
constexpr unsigned char kAufsMark = 255;

// Of a directory that is read as a whole anyway: 8 bytes for each on each layer.
constexpr std::size_t kMostNames = 200000;

}  // namespace

// Names lie one after another in chunks that never move, so that the set of names seen can hold views of them.
class Listing::Snapshot {
  public:
    struct Item {
        std::string_view name;
        std::uint64_t ino;
        BranchIndex branch;
        unsigned char type;
        std::uint16_t digest = 0;  // of the names up to this one
    };

    // False: the name was there already, from a branch of higher priority. Whiteouts are added as DT_WHT.
    bool add(const sys::DirEntry& entry, BranchIndex branch, unsigned char type) {
        if (seen_.contains(entry.name)) return false;
        const std::string_view kept = keep(entry.name);
        seen_.insert(kept);
        items_.push_back({kept, entry.ino, branch, type});
        return true;
    }
    // Once all is read: the whiteouts have done their work.
    void finish() {
        std::erase_if(items_, [](const Item& item) { return item.type == DT_WHT; });
        seen_ = {};
        std::uint64_t digest = 0;
        for (Item& item : items_) {
            digest = mix_bits(digest ^ std::hash<std::string_view>()(item.name));
            item.digest = static_cast<std::uint16_t>(digest & kDigest);
        }
    }
    // What it holds keeps its place.
    void begin_again() {
        for (const Item& item : items_) seen_.insert(item.name);
    }
    const std::vector<Item>& items() const { return items_; }

    // Of the entry that is given out when so many were before it. An offset has 31 bits; those for more names than most
    // directories have are there for the digest of the names else.
    std::int64_t offset_after(std::size_t place) const {
        if (place == 0 || has_long_places()) return static_cast<std::int64_t>(place);
        return static_cast<std::int64_t>(place) | std::int64_t{items_[place - 1].digest} << kPlaceBits;
    }
    std::size_t place_of(std::int64_t offset) const {
        if (offset > std::numeric_limits<std::int32_t>::max()) return items_.size();
        return static_cast<std::size_t>(has_long_places() ? offset : offset & ((1 << kPlaceBits) - 1));
    }

  private:
    static constexpr int kPlaceBits = 20;
    static constexpr std::uint64_t kDigest = (1 << (31 - kPlaceBits)) - 1;
    bool has_long_places() const { return items_.size() >> kPlaceBits != 0; }

    static constexpr std::size_t kChunk = std::size_t{32} * 1024;

    std::string_view keep(std::string_view name) {
        if (left_ < name.size() + 1) {
            chunks_.push_back(std::make_unique<char[]>(kChunk));
            at_ = chunks_.back().get();
            left_ = kChunk;
        }
        char* place = at_;
        name.copy(place, name.size());
        place[name.size()] = '\0';
        at_ += name.size() + 1;
        left_ -= name.size() + 1;
        return {place, name.size()};
    }

    std::vector<std::unique_ptr<char[]>> chunks_;
    char* at_ = nullptr;
    std::size_t left_ = 0;
    std::vector<Item> items_;
    std::unordered_set<std::string_view> seen_;
};

Listing::Listing(std::shared_ptr<const BranchSet> set, Layers layers, OwnNames hidden)
    : set_(std::move(set)), layers_(std::move(layers)), hidden_(hidden) {}

Listing::~Listing() = default;

void Listing::restart(Layers layers) {
    layers_ = std::move(layers);
    reader_.reset();
    snapshot_.reset();
    names_ = nullptr;
    place_ = 0;
    repeat_ = false;
}

// Fills in a type the file system did not give, and tells marks from what they look like (as DT_WHT and kAufsMark).
Result<bool> Listing::skips(const Layer& layer, sys::DirEntry& entry) const {
    if (hidden_.has(entry.name)) return true;
    if (entry.is_dot()) return false;
    const bool aufs = set_->reads_aufs_marks() && marks::is_aufs_name(entry.name);
    const bool may_be_mark = aufs || (set_->uses_marks() && entry.type == DT_CHR) ||
                             (entry.type == DT_REG && TRY(holds_xattr_whiteouts(*set_, layer)));
    if (entry.type != DT_UNKNOWN && !may_be_mark) return false;
    auto name = Name::parse(entry.name);
    if (!name) return true;
    auto st = sys::stat_at(layer.fd(), *name);
    if (st.failed_with(ENOENT)) return true;
    if (!st) return st.error();
    entry.type = static_cast<unsigned char>(IFTODT(st->stx_mode));
    if (!set_->uses_marks()) return false;
    if (marks::is_whiteout(*st)) {
        entry.type = DT_WHT;
    } else if (aufs && marks::is_aufs_mark(entry.name, *st)) {
        entry.type = kAufsMark;
    } else if (marks::may_be_mark_file(*st) && TRY(holds_xattr_whiteouts(*set_, layer))) {
        if (TRY(marks::has_whiteout_xattr(layer.fd(), *name, set_->marks()))) entry.type = DT_WHT;
    }
    return false;
}

namespace {

// Removed behind our back since it was found, or with a branch that is missing by now, a directory has no names; those
// beside it are still there.
bool is_gone(Errno e) {
    return e == ENOENT || e == ENOTDIR;
}

Result<bool> next_of(sys::DirReader& reader, sys::DirEntry& entry) {
    auto more = reader.next(entry);
    return !more && is_gone(more.error()) ? Result<bool>(false) : std::move(more);
}

}  // namespace

// names: null: they are not collected.
Status Listing::read_layers(Snapshot& into, LayerNames::Builder* names) {
    std::vector<std::string> beside;
    for (const Layer& layer : layers_) {
        auto dir = sys::open_dir_for_reading(layer.fd());
        if (!dir && is_gone(dir.error()) && layers_.size() > 1) continue;
        sys::DirReader reader(TRY(std::move(dir)));
        sys::DirEntry entry;
        bool aufs_names = false;
        if (names) names->begin(layer, reader.fd());
        while (TRY(next_of(reader, entry))) {
            if (names && !entry.is_dot()) names->add(entry.name);
            if (entry.is_dot() && &layer != &layers_.front()) continue;
            if (TRY(skips(layer, entry))) continue;
            aufs_names |= marks::is_aufs_name(entry.name);
            if (entry.type != kAufsMark) {
                into.add(entry, layer.branch, entry.type);
            } else if (const auto name = marks::hidden_by(entry.name); !name.empty()) {
                beside.emplace_back(name);
            }
        }
        // They hide nothing of their own layer.
        for (const auto& name : beside) into.add({.name = name}, layer.branch, DT_WHT);
        beside.clear();
        layer.dir->note_aufs_names(aufs_names);
        if (names) names->end(layer);
    }
    return {};
}

Status Listing::load() {
    auto snapshot = std::make_unique<Snapshot>();
    LayerNames::Builder names(*set_, means_, kMostNames);
    const bool collects = means_ && !names_ && layers_.size() > 1;
    TRY(read_layers(*snapshot, collects ? &names : nullptr));
    if (collects) names_ = names.finish();
    snapshot->finish();
    snapshot_ = std::move(snapshot);
    return {};
}

Status Listing::look_again(Layers layers) {
    if (!snapshot_) return {};
    layers_ = std::move(layers);
    names_ = nullptr;
    snapshot_->begin_again();
    auto read = read_layers(*snapshot_, nullptr);
    snapshot_->finish();
    return read;
}

// At the beginning: a reader, or a snapshot where its offsets can not be told.
Status Listing::open_single() {
    auto reader = std::make_unique<sys::DirReader>(TRY(sys::open_dir_for_reading(layers_[0].fd())));
    sys::DirEntry first;
    if (TRY(reader->peek(first))) {
        const auto offsets = TRY(SmallOffsets::of(reader->fd(), first.offset));
        if (!offsets) return load();
        offsets_ = *offsets;
    }
    reader_ = std::move(reader);
    return {};
}

Status Listing::seek(std::int64_t offset) {
    repeat_ = false;
    if (layers_.empty()) return {};
    const bool begins = is_single() && !reader_;
    if (begins) TRY(open_single());
    if (is_single()) return begins && offset == 0 ? Status() : reader_->seek(offsets_.of_told(offset));
    if (!snapshot_ || (offset == 0 && !begins)) TRY(load());
    place_ = snapshot_->place_of(offset);
    return {};
}

bool Listing::agrees(std::int64_t offset) const {
    if (!snapshot_) return true;
    const std::size_t place = snapshot_->place_of(offset);
    return place <= snapshot_->items().size() && snapshot_->offset_after(place) == offset;
}

Result<bool> Listing::next_single(ListedEntry& out) {
    sys::DirEntry entry;
    while (TRY(reader_->next(entry))) {
        if (TRY(skips(layers_[0], entry)) || entry.type == DT_WHT || entry.type == kAufsMark) continue;
        out = {entry.name, layers_[0].branch, entry.ino, entry.type, offsets_.told(entry.offset)};
        return true;
    }
    return false;
}

Result<bool> Listing::next(ListedEntry& out) {
    if (layers_.empty()) return false;
    if (repeat_) {
        repeat_ = false;
        out = last_;
        return true;
    }
    if (!reader_ && !snapshot_) TRY(seek(0));
    if (is_single()) {
        if (!TRY(next_single(out))) return false;
        last_ = out;
        return true;
    }
    if (place_ >= snapshot_->items().size()) return false;
    const auto& item = snapshot_->items()[place_++];
    out = {item.name, item.branch, item.ino, item.type, snapshot_->offset_after(place_)};
    last_ = out;
    return true;
}

}  // namespace plyfs

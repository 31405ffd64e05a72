#include "overlay/layer_names.h"

#include <algorithm>
#include <functional>

#include "overlay/marks.h"
#include "sys/dirent.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// Some milliseconds of reading for the sake of one lookup.
constexpr std::size_t kMostRead = 20000;

// Empty: it has no letter.
std::string exchange_cases(std::string_view name) {
    std::string out(name);
    bool any = false;
    for (char& c : out) {
        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) continue;
        c = static_cast<char>(c ^ 0x20);
        any = true;
    }
    return any ? out : std::string();
}

}  // namespace

LayerNames::~LayerNames() {
    if (means_) means_->bytes_left.fetch_add(taken_, std::memory_order_relaxed);
}

bool LayerNames::knows(BranchIndex branch) const {
    return std::binary_search(known_.begin(), known_.end(), branch);
}

bool LayerNames::fits(BranchIndex branch, std::uint64_t identity) const {
    const auto place = std::lower_bound(known_.begin(), known_.end(), branch);
    if (identities_.empty() || place == known_.end() || *place != branch) return true;
    return identities_[static_cast<std::size_t>(place - known_.begin())] == identity;
}

std::vector<BranchIndex> LayerNames::add_known_parts(sys::Stat& into, std::span<const BranchIndex> branches) const {
    if (!news_ || news_->missed()) return {branches.begin(), branches.end()};
    MutexLock lock(mutex_);
    for (BranchIndex branch : news_->take_changes()) {
        const auto place = std::lower_bound(known_.begin(), known_.end(), branch);
        if (place == known_.end() || *place != branch) continue;
        Part& part = parts_[static_cast<std::size_t>(place - known_.begin())];
        part.valid = false;
        ++part.asked;  // what is being asked now may be of before
    }
    std::vector<BranchIndex> others;
    sys::Stat seen{};
    auto known = known_.begin();
    for (BranchIndex branch : branches) {
        while (known != known_.end() && *known < branch) ++known;
        const bool here = known != known_.end() && *known == branch;
        const Part* part = here ? &parts_[static_cast<std::size_t>(known - known_.begin())] : nullptr;
        if (part && part->valid) {
            seen.stx_mtime = part->modified;
            seen.stx_ctime = part->changed;
            seen.stx_uid = part->uid;
            seen.stx_gid = part->gid;
            seen.stx_mode = part->mode;
            seen.stx_nlink = part->links;
            sys::add_directory(into, seen);
        } else {
            others.push_back(branch);
        }
    }
    return others;
}

Result<sys::Stat> LayerNames::stat_part(const Layer& layer) const {
    const auto place = std::lower_bound(known_.begin(), known_.end(), layer.branch);
    if (!news_ || place == known_.end() || *place != layer.branch) return sys::stat_fd(layer.fd());
    const auto at = static_cast<std::size_t>(place - known_.begin());
    std::uint32_t asked;
    {
        MutexLock lock(mutex_);
        asked = ++parts_[at].asked;
    }
    const auto st = TRY(sys::stat_fd(layer.fd()));
    MutexLock lock(mutex_);
    // Who asked later knows better.
    if (parts_[at].asked == asked) {
        parts_[at] = {st.stx_mtime, st.stx_ctime, st.stx_uid, st.stx_gid, st.stx_mode, st.stx_nlink, asked, true};
    }
    return st;
}

// All lists are in the order of branches.
std::vector<BranchIndex> LayerNames::filter(std::span<const BranchIndex> branches, std::string_view name) const {
    if (news_ && !news_->catch_up()) return {branches.begin(), branches.end()};
    const auto made = this->made(name);
    const NamePlace first = place_of(name);
    auto place = std::lower_bound(places_.begin(), places_.end(), first);
    std::vector<BranchIndex> out;
    auto known = known_.begin();
    for (BranchIndex branch : branches) {
        while (known != known_.end() && *known < branch) ++known;
        if (known != known_.end() && *known == branch) {
            const NamePlace wanted = first | static_cast<std::uint16_t>(branch);
            while (place != places_.end() && *place < wanted) ++place;
            const bool read = place != places_.end() && *place == wanted;
            if (!read && std::find(made.begin(), made.end(), branch) == made.end()) continue;
        }
        out.push_back(branch);
    }
    return out;
}

Layers LayerNames::filter(std::span<const Layer> layers, std::string_view name) const {
    std::vector<BranchIndex> branches;
    branches.reserve(layers.size());
    for (const Layer& layer : layers) branches.push_back(layer.branch);
    Layers out;
    auto layer = layers.begin();
    for (BranchIndex branch : filter(branches, name)) {
        while (layer->branch != branch) ++layer;
        out.push_back(*layer);
    }
    return out;
}

LayerNames::Builder::Builder(const BranchSet& set, std::shared_ptr<NamesMeans> means, std::size_t most)
    : set_(set), means_(std::move(means)), most_(most) {}

void LayerNames::Builder::begin(const Layer& layer, BorrowedFd opened) {
    branch_ = -1;
    probe_.clear();
    if (is_full()) return;
    const auto compares = sys::compares_bytes(opened);
    if (!compares || !*compares) return;
    if (!set_.is_fixed(layer.branch)) {
        if (!means_->watch) return;
        if (!news_) news_ = std::make_shared<DirNews>(means_->watch);
        if (!news_->follow(layer.branch, opened)) return;
    }
    branch_ = layer.branch;
    began_ = places_.size();
}

void LayerNames::Builder::put(std::string_view name) {
    places_.push_back(place_of(name, branch_));
}

void LayerNames::Builder::add(std::string_view name) {
    if (branch_ < 0) return;
    if (is_full()) {
        branch_ = -1;
        return;
    }
    put(name);
    if (const auto hidden = marks::hidden_by(name); !hidden.empty()) put(hidden);
    if (probe_.empty()) probe_ = exchange_cases(name);
}

// A file system can fold cases without a flag that says so: then a name is found that is not there.
bool LayerNames::Builder::folds(const Layer& layer) const {
    if (probe_.empty()) return false;
    const auto there = place_of(probe_, branch_);
    if (std::find(places_.begin() + static_cast<std::ptrdiff_t>(began_), places_.end(), there) != places_.end()) {
        return false;
    }
    const auto name = Name::parse(probe_);
    if (!name) return true;
    return !sys::stat_at(layer.fd(), *name).failed_with(ENOENT);
}

void LayerNames::Builder::end(const Layer& layer) {
    if (branch_ < 0) return;
    if (folds(layer)) {
        places_.resize(began_);
    } else {
        known_.push_back(branch_);
        if (news_) identities_.push_back(layer.dir->identity());
    }
    branch_ = -1;
}

SharedNames LayerNames::Builder::finish() {
    std::shared_ptr<LayerNames> out(new LayerNames());
    if (is_full()) return out;
    const std::size_t of_branch = sizeof known_[0] + sizeof identities_[0] + sizeof(LayerNames::Part);
    const std::size_t bytes = places_.size() * sizeof places_[0] + known_.size() * of_branch + sizeof *out;
    std::size_t left = means_->bytes_left.load(std::memory_order_relaxed);
    do {
        if (left < bytes) return out;
    } while (!means_->bytes_left.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed));
    out->means_ = means_;
    out->taken_ = bytes;
    out->news_ = std::move(news_);
    std::sort(places_.begin(), places_.end());
    places_.shrink_to_fit();
    out->places_ = std::move(places_);
    out->known_ = std::move(known_);
    out->identities_ = std::move(identities_);
    if (out->news_) {
        MutexLock lock(out->mutex_);
        out->parts_.resize(out->known_.size());
    }
    return out;
}

SharedNames read_layer_names(const BranchSet& set, std::span<const Layer> layers,
                             const std::shared_ptr<NamesMeans>& means) {
    LayerNames::Builder builder(set, means, kMostRead);
    for (const Layer& layer : layers) {
        if (!means->may_know(set, layer.branch)) continue;
        auto fd = sys::open_dir_for_reading(layer.fd());
        if (!fd) continue;
        sys::DirReader reader(std::move(*fd));
        builder.begin(layer, reader.fd());
        sys::DirEntry entry;
        Result<bool> more = true;
        while ((more = reader.next(entry)) && *more && !builder.is_full()) {
            if (!entry.is_dot()) builder.add(entry.name);
        }
        // What was not read to its end is not known.
        if (more && !*more) builder.end(layer);
    }
    return builder.finish();
}

}  // namespace plyfs

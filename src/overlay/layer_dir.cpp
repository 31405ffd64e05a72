#include "overlay/layer_dir.h"

#include "overlay/marks.h"
#include "sys/dirent.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

// Some milliseconds of reading; a look for each name is cheaper for a directory larger than that.
constexpr int kMostEntries = 20000;

// One that can be searched but not read may have some.
bool find_aufs_names(BorrowedFd dir) {
    auto fd = sys::open_dir_for_reading(dir);
    if (!fd) return true;
    sys::DirReader reader(std::move(*fd));
    sys::DirEntry entry;
    for (int i = 0; i < kMostEntries; ++i) {
        auto more = reader.next(entry);
        if (!more) return true;
        if (!*more) return false;
        if (marks::is_aufs_name(entry.name)) return true;
    }
    return true;
}

}  // namespace

template <typename Find>
Result<bool> LayerDir::once(std::atomic<Fact>& fact, Find find) {
    Fact known = fact.load(std::memory_order_relaxed);
    if (known == Fact::unknown) {
        known = TRY(find()) ? Fact::yes : Fact::no;
        fact.store(known, std::memory_order_relaxed);
    }
    return known == Fact::yes;
}

bool LayerDir::may_hold_aufs_names() const {
    if (aufs_names_.load(std::memory_order_relaxed) == Fact::unknown) note_aufs_names(find_aufs_names(fd_));
    return aufs_names_.load(std::memory_order_relaxed) == Fact::yes;
}

void LayerDir::note_aufs_names(bool any) const {
    aufs_names_.store(any ? Fact::yes : Fact::no, std::memory_order_relaxed);
}

std::uint64_t LayerDir::identity() const {
    std::uint64_t known = identity_.load(std::memory_order_relaxed);
    if (known != 0) return known;
    if (const auto st = sys::stat_fd(fd_)) known = sys::hash_of(sys::key_of(*st));
    identity_.store(known, std::memory_order_relaxed);
    return known;
}

Result<bool> LayerDir::holds_xattr_whiteouts(const MarkRules& rules) const {
    return once(xattr_whiteouts_, [&] { return marks::holds_xattr_whiteouts(fd_, rules); });
}

}  // namespace plyfs

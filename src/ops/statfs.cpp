#include "ops/statfs.h"

#include <algorithm>
#include <set>

#include "ops/where.h"
#include "sys/stat.h"

namespace plyfs::ops {
namespace {

// Whether its free space is nobody's to take.
bool is_ignored(const Branch& branch, const struct statvfs& st, config::StatfsIgnore ignore) {
    using config::BranchMode;
    using config::StatfsIgnore;
    // Nobody can take it, whatever is asked for; it may have become so since the branch was opened.
    const bool became_so = branch.mode() != BranchMode::ro && (st.f_flag & ST_RDONLY) != 0;
    if (branch.on_read_only_fs() || became_so) return true;
    switch (ignore) {
        case StatfsIgnore::unchangeable:
        case StatfsIgnore::none:
            return false;
        case StatfsIgnore::ro:
            return branch.mode() != BranchMode::rw;
        case StatfsIgnore::nc:
            return branch.mode() == BranchMode::nc;
    }
    return false;
}

// In units of the first branch's fragments; blocks below one fragment are lost, which df does not show.
void add(struct statvfs& sum, const struct statvfs& one) {
    if (sum.f_frsize == 0) {
        sum = one;
        return;
    }
    auto scaled = [&](std::uint64_t blocks) { return blocks * one.f_frsize / sum.f_frsize; };
    sum.f_blocks += scaled(one.f_blocks);
    sum.f_bfree += scaled(one.f_bfree);
    sum.f_bavail += scaled(one.f_bavail);
    sum.f_files += one.f_files;
    sum.f_ffree += one.f_ffree;
    sum.f_favail += one.f_favail;
    sum.f_namemax = std::min(sum.f_namemax, one.f_namemax);
}

}  // namespace

Result<struct statvfs> statfs(Context& ctx, NodeId id) {
    const BranchSet& set = ctx.tree.set();
    const config::FileOptions& options = ctx.tree.pool().files;
    std::vector<BranchIndex> holders;
    if (options.statfs == config::Statfs::full) holders = TRY(branches_of(ctx, TRY(node_of(ctx, id))));
    const bool full = !holders.empty();
    std::set<std::uint64_t> counted;
    struct statvfs sum = {};
    for (const auto& branch : set.all()) {
        const auto index = static_cast<BranchIndex>(branch->index());
        if (full && std::find(holders.begin(), holders.end(), index) == holders.end()) continue;
        // What layers below have free is of no use to a writer.
        const bool unchangeable = options.statfs_ignore == config::StatfsIgnore::unchangeable && !full;
        if (unchangeable && set.any_writable() && !branch->writable()) continue;
        if (!branch->present() || branch->is_late() || !counted.insert(branch->device()).second) continue;
        struct statvfs one = TRY(sys::stat_fs(branch->root()));
        if (is_ignored(*branch, one, options.statfs_ignore)) one.f_bavail = 0;
        add(sum, one);
    }
    return sum;
}

}  // namespace plyfs::ops

#include "overlay/holders.h"

#include <algorithm>

#include "base/mix.h"
#include "policy/selection.h"

namespace plyfs {

std::vector<policy::Candidate> candidates_of(const BranchSet& set, std::span<const Hit> hits, config::Policy policy) {
    std::vector<policy::Candidate> out;
    out.reserve(hits.size());
    for (const Hit& hit : hits) {
        const Branch& branch = set.at(hit.branch);
        policy::Candidate c;
        c.branch = hit.branch;
        c.mode = branch.mode();
        c.read_only_fs = !branch.writable();
        c.modified = hit.st.stx_mtime.tv_sec * 1'000'000'000 + hit.st.stx_mtime.tv_nsec;
        c.size = hit.st.stx_size;
        if (policy::wants_space(policy)) {
            const Space space = branch.space();
            c.available = space.available;
            c.total = space.total;
        }
        out.push_back(c);
    }
    return out;
}

std::uint64_t lasting_random(const Hit& first, const Name& name) {
    const auto key = sys::key_of(first.st);
    return mix_bits(std::hash<std::string_view>()(name.view()) ^ key.ino * kMixStep ^ key.dev);
}

bool prefers_others(const BranchSet& set) {
    using config::Policy;
    const Policy policy = set.search();
    return policy != Policy::ff && policy != Policy::epff && !policy::takes_all(policy);
}

Status put_winner_first(const BranchSet& set, const Name& name, std::vector<Hit>& hits) {
    if (!prefers_others(set)) return {};
    if (policy::refuses(set.search())) return Errno(EROFS);
    if (hits.size() < 2 || hits[0].whiteout || sys::is_dir(hits[0].st)) return {};
    std::vector<Hit> files;
    BranchIndex copy = -1;  // the lowest so far that may be modified
    bool copied = false;
    for (const Hit& hit : hits) {
        if (hit.whiteout || sys::is_dir(hit.st)) continue;
        const bool writable = set.at(hit.branch).writable();
        if (writable && !copied) copy = hit.branch;
        if (writable || copy < 0) files.push_back(hit);
        copied = copied || (!writable && copy >= 0);
    }
    // What was changed last is the newest anyway.
    if (!copied || policy::wants_times(set.search())) {
        const auto candidates = candidates_of(set, files, set.search());
        copy = static_cast<BranchIndex>(
            TRY(policy::select_winner(set.search(), candidates, lasting_random(hits[0], name))));
    }
    const auto place =
        std::find_if(hits.begin(), hits.end(), [&](const Hit& hit) { return hit.branch == copy && !hit.whiteout; });
    std::rotate(hits.begin(), place, place + 1);
    return {};
}

}  // namespace plyfs

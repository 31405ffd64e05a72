// The branches that have an object, as policies see them; and which of them answers for a file of a pool.
#pragma once

#include <span>
#include <vector>

#include "overlay/resolver.h"
#include "policy/preference.h"

namespace plyfs {

// What a policy wants to know of the branches of these hits, of which none is a whiteout.
std::vector<policy::Candidate> candidates_of(const BranchSet& set, std::span<const Hit> hits, config::Policy policy);

// The number by which a policy that chooses at random does so for an object: the same as long as the first of them is
// there, so that a file does not become another one each time it is looked for.
std::uint64_t lasting_random(const Hit& first, const Name& name);

// Whether another branch than the first may answer for a file.
bool prefers_others(const BranchSet& set);

// Puts the hit that answers by the search policy before the others, which stay in their order; whiteouts stay last.
// Only files are chosen from: whether the name is a directory is said by the first hit, and a directory's winner is the
// first branch. A file on a branch that may not be modified does not answer where a branch above it that may has one as
// well, which may be its copy and therefore answers, unless by newest another one was changed later. EROFS by the
// policy of that name.
Status put_winner_first(const BranchSet& set, const Name& name, std::vector<Hit>& hits);

}  // namespace plyfs

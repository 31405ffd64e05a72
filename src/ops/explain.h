// Why a name leads where it does, and where a new one would go: for whoever wants to understand a mount. Nothing is
// changed, and nothing is remembered but what a lookup remembers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/lookup.h"
#include "policy/preference.h"

namespace plyfs::ops {

struct OnBranch {
    // answers: it is what is seen. merged: a directory whose names are seen as well. copy: as good a file that does not
    // answer. hidden: there, but not to be seen. whiteout: a mark that hides what is below. none: nothing of the name.
    // missing: the branch is not there.
    enum class Part { answers, merged, copy, hidden, whiteout, none, missing };
    BranchIndex branch = -1;
    Part part = Part::none;
    std::optional<sys::Stat> st;
    std::string why;
};
std::string_view part_word(OnBranch::Part part);

struct Explained {
    bool seen = false;
    std::vector<OnBranch> branches;  // all of them, in their order
    std::string read_obstacle;       // see passthrough_obstacle; of a regular file that is seen
    std::string write_obstacle;
    bool regular = false;
    BranchIndex content = -1;  // of a metacopy: which branch has its content
    std::uint32_t passthrough_opens = 0;
    std::uint32_t other_opens = 0;
};
// path: from the mount's root, "a/b"; slashes at its ends and doubled ones mean nothing. ENOENT and ENOTDIR are about
// the directories on the way; a last name that is not there is explained.
Result<Explained> explain(Context& ctx, std::string_view path);

struct BranchForNew {
    BranchIndex branch = -1;
    int rank = -1;    // 0: it would take it; 1: if that refuses, and so on; -1: never
    std::string why;  // not
};
struct Placement {
    config::Policy policy = config::Policy::ff;
    std::string rule;  // where the rule that fits is written; empty: none
    std::vector<BranchForNew> branches;
    int error = 0;        // what a creation would end with, if no branch takes it
    bool exists = false;  // there is something of the name already
    bool all = false;     // on all of those ranked
};
Result<Placement> explain_new(Context& ctx, const sys::Caller& maker, std::string_view path, config::Function function);

}  // namespace plyfs::ops

#include "overlay/rename_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

using namespace plyfs;

namespace {

// "f0 w1 d2": a file on branch 0, a whiteout on 1, a directory on 2. `branches`: w for one that may be modified, r for
// one that may not.
std::vector<Presence> parse(std::string_view text, std::string_view branches) {
    std::vector<Presence> out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 3) {
        const auto kind = text[i] == 'f'   ? Presence::Kind::file
                          : text[i] == 'd' ? Presence::Kind::directory
                                           : Presence::Kind::whiteout;
        const int branch = text[i + 1] - '0';
        out.push_back({static_cast<BranchIndex>(branch), kind, branches[static_cast<std::size_t>(branch)] == 'w'});
    }
    return out;
}

std::string numbers(const char* what, const std::vector<BranchIndex>& branches) {
    if (branches.empty()) return {};
    std::string out = std::string(" ") + what;
    for (auto branch : branches) out += std::to_string(branch);
    return out;
}

// "1 +wh" and so on: the branch of the rename, then what else is done.
std::string text_of(const Result<RenamePlan>& plan) {
    if (!plan) {
        const int e = plan.error().value();
        return e == EXDEV ? "EXDEV" : e == EROFS ? "EROFS" : e == ENOENT ? "ENOENT" : log::errno_text(e);
    }
    std::string out = std::to_string(plan->branch);
    if (plan->carry_above >= 0) return "carry above " + std::to_string(plan->carry_above);
    if (plan->carry) return "carry to " + out;
    if (plan->leave_whiteout) out += " whiteout";
    if (plan->link_first) out += " link";
    if (plan->make_opaque) out += " opaque";
    if (plan->swap_whiteout) out += " swap";
    if (plan->clear_target) out += " clear";
    if (plan->make_target_opaque) out += " target-opaque";
    return out + numbers("also", plan->also_rename) + numbers("both", plan->also_exchange) +
           numbers("back", plan->rename_back) + numbers("-source", plan->remove_source) +
           numbers("-target", plan->remove_target);
}

struct Row {
    const char* name;
    const char* branches;
    const char* source;
    const char* target;
    const char* expected;
    std::size_t source_layers = 1;
    std::size_t target_layers = 0;
    BranchIndex moves_along = -1;
    const char* homes = nullptr;  // "02": the new name's directory is on branches 0 and 2, and has to be
};

void check(const Row& row, bool exchange = false, bool keep_whiteout = false) {
    INFO(std::string(row.name));
    const auto source = parse(row.source, row.branches);
    const auto target = parse(row.target, row.branches);
    RenameFacts facts;
    facts.source = source;
    facts.target = target;
    facts.source_layers = row.source_layers;
    facts.target_layers = row.target_layers;
    for (std::size_t i = 0; i < std::min(row.source_layers, source.size()); ++i) {
        if (source[i].kind == Presence::Kind::directory && !source[i].writable) facts.source_fixed = true;
    }
    facts.moves_along = row.moves_along;
    std::vector<BranchIndex> homes;
    for (const char* c = row.homes; c && *c; ++c) homes.push_back(static_cast<BranchIndex>(*c - '0'));
    if (row.homes) facts.homes = &homes;
    facts.exchange = exchange;
    facts.keep_whiteout = keep_whiteout;
    CHECK(text_of(plan_rename(facts)) == std::string(row.expected));
}

}  // namespace

TEST_CASE("rename plan: files over a read-only branch") {
    const Row rows[] = {
        {"a new file", "wr", "f0", "", "0"},
        {"a copied-up file leaves a whiteout", "wr", "f0 f1", "", "0 whiteout"},
        {"above a directory of the same name as well", "wr", "f0 d1", "", "0 whiteout"},
        {"what a whiteout hides already needs none", "wr", "f0 w1", "", "0"},
        {"over a file", "wr", "f0", "f0", "0"},
        {"over a lower file", "wr", "f0", "f1", "0"},
        {"over a copied-up file", "wr", "f0", "f0 f1", "0"},
        {"over a whiteout, which a file replaces", "wr", "f0", "w0", "0"},
        {"both sides copied up", "wr", "f0 f1", "f0 f1", "0 whiteout"},
        {"over a name hidden by a whiteout, leaving one", "wr", "f0 f1", "w0", "0 whiteout"},
        {"the source is still read-only", "wr", "f1", "", "EROFS"},
        {"nothing there", "wr", "", "f0", "ENOENT"},
        {"a whiteout is nothing", "wr", "w0", "f0", "ENOENT"},
        {"the deepest layer counts", "wrrr", "f0 f3", "", "0 whiteout"},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("rename plan: directories over a read-only branch") {
    const Row rows[] = {
        {"a new directory", "wr", "d0", "", "0"},
        {"a merged directory has to be copied", "wr", "d0 d1", "", "EXDEV", 2},
        {"a read-only directory as well", "wr", "d1", "", "EXDEV", 1},
        {"an opaque one above a lower directory moves and hides what was below", "wr", "d0 d1", "", "0 whiteout", 1},
        {"over a whiteout: exchanged and opaque", "wr", "d0", "w0", "0 opaque swap"},
        {"opaque one over a whiteout, leaving one", "wr", "d0 d1", "w0", "0 whiteout opaque swap", 1},
        {"over an empty new directory", "wr", "d0", "d0", "0 clear", 1, 1},
        {"over a merged directory of whiteouts only", "wr", "d0", "d0 d1", "0 opaque clear", 1, 2},
        {"over a lower empty directory", "wr", "d0", "d1", "0 opaque", 1, 1},
        {"a lower file there is hidden by the directory", "wr", "d0", "f1", "0"},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("rename plan: pools") {
    const Row rows[] = {
        {"a file on one branch", "www", "f1", "", "1"},
        {"copies elsewhere get the new name as well", "www", "f0 f1 f2", "", "0 also12"},
        {"or the one that the policy names", "www", "f0 f1 f2", "", "0 also2", 0, 0, 2},
        {"or none but the winner", "www", "f0 f1 f2", "", "0", 0, 0, 0},
        {"the old target of a higher branch goes", "www", "f1", "f0", "1 link -target0"},
        {"and of a lower one", "www", "f1", "f2", "1 link -target2"},
        {"all of them", "www", "f1", "f0 f1 f2", "1 link -target02"},
        {"but where a copy comes", "www", "f1 f2", "f0 f2", "1 link also2 -target0"},
        {"path preserving: the directory is there", "www", "f1", "", "1", 0, 0, -1, "12"},
        {"it is not", "www", "f1", "", "EXDEV", 0, 0, -1, "02"},
        {"a copy where it is not goes", "www", "f0 f1", "", "0 -source1", 0, 0, -1, "02"},
        {"a directory whose parts all may move", "www", "d0 d1", "", "0 also1", 2, 0, -1, "01"},
        {"and one of which one may not", "www", "d0 d1", "", "EXDEV", 2, 0, -1, "0"},
        {"a directory moves on each of its branches", "www", "d0 d1 d2", "", "0 also12", 3},
        {"a directory over an empty one on another branch", "www", "d0", "d1", "0 -target1", 1, 1},
        {"over one on its own other branches: replaced by the rename there", "www", "d0 d1", "d1", "0 also1", 2, 1},
        {"over one on both branches", "www", "d0 d1", "d0 d1", "0 clear also1", 2, 2},
        {"a hidden file where a part has to go", "www", "d0 d1", "d0 f1", "EXDEV", 2, 1},
        {"a file hidden below a directory moves along", "www", "d0 f1", "", "0 also1", 1},
        {"a directory hidden below a file moves along", "www", "f0 d1", "", "0 also1"},
        {"a directory hidden below the target", "www", "f0 f1", "f0 d1", "EXDEV"},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("rename plan: a read-only branch above, below and between writable ones") {
    const Row rows[] = {
        {"a target above that can not go: from a branch above it it would be seen", "wrw", "f2", "f1", "carry above 1"},
        {"of several above the highest", "wrwrw", "f4", "f1 f3", "carry above 1"},
        {"a whiteout above that can not go", "rw", "f1", "w0", "carry above 0"},
        {"a directory stays", "wrw", "d2", "f1", "EXDEV"},
        {"a target below does not matter", "rwr", "f1", "f2", "1"},
        {"the source below a read-only branch without the name", "rwr", "f1 f2", "", "1 whiteout"},
        {"a whiteout on a writable branch above hides the new name and goes", "wwr", "f1", "w0", "1 link -target0"},
        {"a directory likewise, and it hides what the whiteout hid", "wwr", "d1", "w0", "1 opaque -target0"},
        {"of which there may be no second part", "wwwr", "d1 d2", "w0", "EXDEV", 2},
        {"a copy on the branch between", "wwr", "f0 f1 f2", "", "0 whiteout also1"},
        {"parts on two writable branches, the last one read-only", "wwr", "d0 d1 d2", "", "EXDEV", 3},
        {"two writable parts, opaque over the read-only one", "wwr", "d0 d1 d2", "", "0 whiteout also1", 2},
        {"two parts over a read-only directory can not both be opaque", "wwr", "d0 d1", "d2", "EXDEV", 2, 1},
        // The directory will be merged with what the whiteout hides if it goes.
        {"a directory above a whiteout on a lower branch keeps it", "wwr", "d0", "w1", "0"},
        {"also when an empty directory is there", "wwr", "d0", "d0 w1", "0 clear", 1, 1},
        {"two parts, one of which would have to replace the whiteout", "wwr", "d0 d1", "w1", "EXDEV", 2},
        {"two parts, one of which it would hide", "wwwr", "d0 d2", "w1", "EXDEV", 2},
        {"also a file's", "wwr", "f0", "w1", "0"},
        {"a file above a file above a whiteout", "wwr", "f0", "f0 w1", "0"},
        {"a whiteout of the source below stays", "wwr", "f0 w1", "", "0"},
    };
    for (const Row& row : rows) check(row);
}

TEST_CASE("rename plan: a whiteout asked for is left in any case") {
    check({"a new file", "wr", "f0", "", "0 whiteout"}, false, true);
    check({"a pool's file", "ww", "f1", "f0", "1 whiteout link -target0"}, false, true);
    check({"a new directory", "wr", "d0", "", "0 whiteout"}, false, true);
}

TEST_CASE("rename plan: exchange") {
    const Row rows[] = {
        {"two files", "wr", "f0", "f0", "0"},
        {"copied-up files hide what is below where they were", "wr", "f0 f1", "f0 f1", "0"},
        {"a file and a directory", "wr", "f0", "d0", "0", 1, 1},
        {"a directory to where a directory lies below", "wr", "d0", "f0 d1", "0 opaque", 1, 0},
        {"the other way round", "wr", "f0 d1", "d0", "0 target-opaque", 1, 1},
        {"two opaque directories", "wr", "d0 d1", "d0 d1", "0 opaque target-opaque", 1, 1},
        {"a merged directory", "wr", "d0 d1", "f0", "EXDEV", 2, 0},
        {"a merged target", "wr", "f0", "d0 d1", "EXDEV", 1, 2},
        {"a read-only target directory", "wr", "f0", "d1", "EXDEV", 1, 1},
        {"across branches", "ww", "f0", "f1", "carry to 0"},
        {"the other way round", "ww", "f1", "f0", "carry to 0"},
        {"a directory across branches", "ww", "d0", "f1", "carry to 1", 1, 0},
        {"to a directory below", "ww", "f0", "d1", "carry to 0", 1, 1},
        {"of several parts", "www", "f0", "d0 d1 d2", "0 back12", 0, 3},
        {"of several parts above", "www", "f1", "d0 d1 d2", "1 back02", 0, 3},
        {"where another file hides", "ww", "f1", "d0 f1", "EXDEV", 0, 1},
        {"from it", "www", "d0 d2", "f0 f2", "0 both2", 2, 0},
        {"two directories across branches", "ww", "d0", "d1", "carry to 0", 1, 1},
        {"two of several parts", "wwww", "d0 d1 d2", "d0 d1 d3", "0 also2 both1 back3", 3, 3},
        {"one of them with a read-only part", "wwr", "d0", "d1 d2", "EXDEV", 1, 2},
        {"no source", "wr", "", "f0", "ENOENT"},
        {"no target", "wr", "f0", "", "ENOENT"},
        {"a whiteout as target", "wr", "f0", "w0", "ENOENT"},
        {"a pool's copies below as well", "ww", "f0 f1", "f0 f1", "0 both1"},
        {"of one of them", "www", "f0 f1", "f0 f2", "0 also1 back2"},
    };
    for (const Row& row : rows) check(row, true);
}

#include "node/move.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/defer.h"
#include "base/log.h"
#include "node/moving.h"
#include "sys/lock.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// An opener of before may be on his way out: RELEASEs and reads under way take a moment.
constexpr int kOpenerLooks = 20;
constexpr auto kOpenerPause = std::chrono::milliseconds(5);

class MoveAway {
  public:
    MoveAway(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how)
        : tree_(tree), request_(request), how_(how), moving_{.node = node} {}
    Status run();

  private:
    // Why it stays, for the log; null: nothing.
    const char* obstacle();
    const char* obstacle_of_openers();
    const char* obstacle_of_names();
    Status stay(const std::string& what, const std::string& why);
    void close_descriptors();
    std::uint64_t bytes_needed() const;
    Result<Tree::Ranking> rank();
    Status require_unread_dirs(BranchIndex branch);

    Tree& tree_;
    const MoveRequest& request_;
    const CopyUpRequest& how_;
    Moving moving_;
    int below_limit_ = -1;  // only branches above this one hide what else has its names; -1: nothing has
};

// Descriptors that its handles will open again.
void MoveAway::close_descriptors() {
    std::vector<SharedFd> closed;  // after the lock
    LockedNode state(*moving_.node);
    const auto take = [&](const Face& face) {
        if (!face.opens) return;
        for (KeptDescriptor* kept : face.opens->kept) closed.push_back(kept->let_go());
    };
    take(state->face);
    for (const auto& face : state->rare->retired) take(*face);
}

const char* MoveAway::obstacle_of_openers() {
    bool passed_through;
    {
        LockedNode state(*moving_.node);
        const auto holds = [&](const Face& face) {
            return face.opens && face.opens->passthrough > 0 && face.opens->backing &&
                   face.opens->backing->generation() == moving_.node->data_generation();
        };
        const bool held = holds(state->face) || std::any_of(state->rare->retired.begin(), state->rare->retired.end(),
                                                            [&](const auto& face) { return holds(*face); });
        if (held) return "it is open in passthrough";
        if (state->rare->branch_locks > 0) return "locks are held on it";
        passed_through = state->passed_through;
    }
    close_descriptors();
    const auto fd = sys::reopen(moving_.object.fd, O_RDONLY);
    if (!fd) return "it can not be read";
    // Maps made in passthrough show the branch's file for ever, and only the branch's file system knows of them.
    const auto opener = passed_through ? sys::Opener::anybody : sys::Opener::writer;
    for (int look = 0; look < kOpenerLooks; ++look) {
        const auto other = sys::has_other_opener(*fd, opener);
        if (!other) return passed_through ? "whether it is still mapped can not be told" : nullptr;
        if (!*other) return nullptr;
        std::this_thread::sleep_for(kOpenerPause);
    }
    return "somebody has it mapped, or open on the branch itself";
}

const char* MoveAway::obstacle_of_names() {
    if (moving_.links.empty()) return moving_.object.st.stx_nlink == 0 ? nullptr : "its names are not known";
    if (moving_.links.size() != moving_.object.st.stx_nlink) return "it has names that are not known";
    if (!find_names(tree_, moving_)) return "its names lead elsewhere";
    for (const Link& link : moving_.links) {
        const auto name = Name::parse(link.name);
        const auto layers = tree_.layers_of(link.parent);
        if (!name || !layers) return "its names lead elsewhere";
        const auto hits = find_all(tree_.set(), *layers, *name);
        if (!hits) return "its names lead elsewhere";
        for (const Hit& hit : *hits) {
            if (hit.branch == moving_.object.branch) continue;
            if (!hit.whiteout && tree_.set().at(hit.branch).writable()) return "other branches have its name";
            if (below_limit_ < 0 || hit.branch < below_limit_) below_limit_ = hit.branch;
        }
    }
    return nullptr;
}

const char* MoveAway::obstacle() {
    const Branch& branch = tree_.set().at(moving_.object.branch);
    if (!branch.writable() || !branch.present()) return "its branch can not be changed";
    if (sys::Protection::of(moving_.object.st).any()) return "it is immutable or append-only";
    {
        LockedNode state(*moving_.node);
        if (state->content_branch >= 0 || state->rare->index) return "it is a copy of another";
        moving_.links = state->links;
    }
    if (const char* why = obstacle_of_names()) return why;
    return moving_.node->is_regular() ? obstacle_of_openers() : nullptr;
}

// Holes stay holes, so it may need less than its size.
std::uint64_t MoveAway::bytes_needed() const {
    const std::uint64_t allocated = moving_.object.st.stx_blocks * 512;
    const std::uint64_t size = std::max<std::uint64_t>(moving_.object.st.stx_size, request_.end);
    return std::max<std::uint64_t>(std::min(allocated + request_.bytes, std::max(size, allocated)), 1);
}

Result<Tree::Ranking> MoveAway::rank() {
    if (request_.to >= 0) {
        const Branch& to = tree_.set().at(request_.to);
        const Space space = to.space();
        if (!to.present() || !to.takes_new_names() || request_.to == moving_.object.branch) return Errno(EROFS);
        if (space.available < bytes_needed() + space.reserve) return Errno(ENOSPC);
        return Tree::Ranking{{request_.to}, false};
    }
    const sys::Caller owner{.uid = moving_.object.st.stx_uid, .gid = moving_.object.st.stx_gid};
    const bool named = !moving_.links.empty();
    return tree_.rank_branches(named ? moving_.links[0].parent : tree_.nodes().find(kRootId),
                               {.name = named ? std::string_view(moving_.links[0].name) : std::string_view(),
                                .maker = &owner,
                                .away_from = moving_.object.branch,
                                .bytes = bytes_needed(),
                                .same_disk = request_.full == EDQUOT || request_.why});
}

Status MoveAway::require_unread_dirs(BranchIndex branch) {
    for (const Link& link : moving_.links) {
        TRY(ensure_dir_on(tree_, link.parent, branch));
        LockedNode dir(*link.parent);
        if (dir->as_dir->listings && dir->as_dir->listings->by_offsets > 0) return Errno(EAGAIN);
    }
    return {};
}

Status MoveAway::run() {
    auto object = tree_.find_object(moving_.node);
    if (!object) return request_.full;
    moving_.object = std::move(*object);
    const std::string what = [&] {
        LockedNode state(*moving_.node);
        return state->links.empty() ? std::string("a nameless file") : state->links[0].name;
    }();
    const std::string& from = tree_.set().at(moving_.object.branch).path();
    if (const char* why = obstacle()) return stay(what, why);
    const auto ranking = rank();
    if (!ranking) return stay(what, "no other branch takes it: " + log::errno_text(ranking.error().value()));
    std::string why = "other branches have its name";
    for (BranchIndex branch : ranking->branches) {
        if (below_limit_ >= 0 && branch >= below_limit_) continue;
        // Of a full branch it moves all the same: what somebody writes does not fail for a listing.
        auto moved = request_.why ? require_unread_dirs(branch) : Status();
        if (moved.failed_with(EAGAIN)) return moved;
        if (moved) moved = move_to(tree_, moving_, branch, how_.cancelled);
        tree_.set().at(branch).refresh_space();
        if (moved) {
            tree_.counters().moves.fetch_add(1, std::memory_order_relaxed);
            log::message(request_.why ? log::Level::debug : log::Level::info, "{} moved from {} to {}", what, from,
                         tree_.set().at(branch).path());
            close_descriptors();
            const BranchIndex left = moving_.object.branch;
            moving_.object.fd.reset();  // the last of it: from here on its space is free
            tree_.set().at(left).refresh_space();
            return {};
        }
        if (moved.failed_with(EINTR)) return moved;
        why = tree_.set().at(branch).path() + ": " + log::errno_text(moved.error().value());
        log::info("{} was not moved from {} to {}", what, from, why);
        const Errno e = moved.error();
        if (!says_full(e) && e != EROFS && e != EEXIST && e != ENOTDIR) break;
    }
    if (request_.why) *request_.why = why;
    return request_.full;
}

Status MoveAway::stay(const std::string& what, const std::string& why) {
    const std::string& from = tree_.set().at(moving_.object.branch).path();
    if (request_.why) {
        *request_.why = why;
    } else {
        log::info("{} stays on {}, which is full: {}", what, from, why);
    }
    return request_.full;
}

}  // namespace

Status move_off_full(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how) {
    if (!tree.moves_files()) return request.full;
    return move_as_asked(tree, node, request, how);
}

Status move_as_asked(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how) {
    const auto is_another = [&](LockedNode& state) {
        return state.node().data_generation() != request.data_generation;
    };
    if (TRY(begin_move(tree, node, how, is_another)) == MoveTurn::nothing_to_do) return {};
    Defer end([&] { end_move(tree, node); });
    return MoveAway(tree, node, request, how).run();
}

}  // namespace plyfs

#include "node/move.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/defer.h"
#include "base/log.h"
#include "node/copy_names.h"
#include "node/source.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/lock.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// An opener of before may be on his way out: RELEASEs and reads under way take a moment.
constexpr int kOpenerLooks = 20;
constexpr auto kOpenerPause = std::chrono::milliseconds(5);

enum class Turn { moved_already, ours };

// From here on nobody changes the node, nor gets it in passthrough; names wait as for a copy-up.
Result<Turn> take_turn(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how) {
    const auto is_another = [&] { return node->data_generation() != request.data_generation; };
    LockedNode state(*node);
    if (is_another()) return Turn::moved_already;
    if (!how.may_block) return Errno(EINPROGRESS);
    while (state->moving) TRY(wait_for_copying(tree, state, how));
    if (is_another()) return Turn::moved_already;
    state->moving = true;
    Defer give_up([&] { state->moving = false; });
    while (state->changing > 0 || state->copying) TRY(wait_for_copying(tree, state, how));
    if (is_another()) return Turn::moved_already;
    give_up.cancel();
    state->copying = true;
    return Turn::ours;
}

class Move {
  public:
    Move(Tree& tree, const NodeRef& node, const MoveRequest& request, const CopyUpRequest& how)
        : tree_(tree), node_(node), request_(request), how_(how) {}
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
    Status move_to(BranchIndex branch);
    Status take_over(Staged& staged, const sys::FileKey& key, BranchIndex branch, const CopyNames& published);
    Status publish(Staged& staged, const sys::FileKey& key, const CopyNames& names);

    Tree& tree_;
    const NodeRef& node_;
    const MoveRequest& request_;
    const CopyUpRequest& how_;
    Located object_;
    std::vector<Link> links_;
    CopyNames names_;       // where it lies
    int below_limit_ = -1;  // only branches above this one hide what else has its names; -1: nothing has
};

// Descriptors that its handles will open again.
void Move::close_descriptors() {
    std::vector<SharedFd> closed;  // after the lock
    LockedNode state(*node_);
    const auto take = [&](const Face& face) {
        if (!face.opens) return;
        for (KeptDescriptor* kept : face.opens->kept) closed.push_back(kept->let_go());
    };
    take(state->face);
    for (const auto& face : state->retired) take(*face);
}

const char* Move::obstacle_of_openers() {
    bool passed_through;
    {
        LockedNode state(*node_);
        const auto holds = [&](const Face& face) {
            return face.opens && face.opens->passthrough > 0 && face.opens->backing &&
                   face.opens->backing->generation() == node_->data_generation();
        };
        const bool held = holds(state->face) || std::any_of(state->retired.begin(), state->retired.end(),
                                                            [&](const auto& face) { return holds(*face); });
        if (held) return "it is open in passthrough";
        if (state->branch_locks > 0) return "locks are held on it";
        passed_through = state->passed_through;
    }
    close_descriptors();
    const auto fd = sys::reopen(object_.fd, O_RDONLY);
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

const char* Move::obstacle_of_names() {
    if (links_.empty()) return object_.st.stx_nlink == 0 ? nullptr : "its names are not known";
    if (links_.size() != object_.st.stx_nlink) return "it has names that are not known";
    auto names = CopyNames::find(tree_, links_, object_.branch);
    if (!names || !names->require_all_of(sys::key_of(object_.st))) return "its names lead elsewhere";
    names_ = std::move(*names);
    for (const Link& link : links_) {
        const auto name = Name::parse(link.name);
        const auto layers = tree_.layers_of(link.parent);
        if (!name || !layers) return "its names lead elsewhere";
        const auto hits = find_all(tree_.set(), *layers, *name);
        if (!hits) return "its names lead elsewhere";
        for (const Hit& hit : *hits) {
            if (hit.branch == object_.branch) continue;
            if (!hit.whiteout && tree_.set().at(hit.branch).writable()) return "other branches have its name";
            if (below_limit_ < 0 || hit.branch < below_limit_) below_limit_ = hit.branch;
        }
    }
    return nullptr;
}

const char* Move::obstacle() {
    const Branch& branch = tree_.set().at(object_.branch);
    if (!branch.writable() || !branch.present()) return "its branch can not be changed";
    if (sys::Protection::of(object_.st).any()) return "it is immutable or append-only";
    {
        LockedNode state(*node_);
        if (state->content_branch >= 0 || state->index) return "it is a copy of another";
        links_ = state->links;
    }
    if (const char* why = obstacle_of_names()) return why;
    return node_->is_regular() ? obstacle_of_openers() : nullptr;
}

// Holes stay holes, so it may need less than its size.
std::uint64_t Move::bytes_needed() const {
    const std::uint64_t allocated = object_.st.stx_blocks * 512;
    const std::uint64_t size = std::max<std::uint64_t>(object_.st.stx_size, request_.end);
    return std::max<std::uint64_t>(std::min(allocated + request_.bytes, std::max(size, allocated)), 1);
}

Result<Tree::Ranking> Move::rank() {
    if (request_.to >= 0) {
        const Branch& to = tree_.set().at(request_.to);
        const Space space = to.space();
        if (!to.present() || !to.takes_new_names() || request_.to == object_.branch) return Errno(EROFS);
        if (space.available < bytes_needed() + space.reserve) return Errno(ENOSPC);
        return Tree::Ranking{{request_.to}, false};
    }
    const sys::Caller owner{.uid = object_.st.stx_uid, .gid = object_.st.stx_gid};
    const bool named = !links_.empty();
    return tree_.rank_branches(named ? links_[0].parent : tree_.nodes().find(kRootId),
                               {.name = named ? std::string_view(links_[0].name) : std::string_view(),
                                .maker = &owner,
                                .away_from = object_.branch,
                                .bytes = bytes_needed(),
                                .same_disk = request_.full == EDQUOT || request_.why});
}

Status Move::publish(Staged& staged, const sys::FileKey& key, const CopyNames& names) {
    if (links_.empty()) return {};
    LockedNode state(*node_);
    // Nobody takes a name away or gives one meanwhile, but one may have been met that we did not know.
    if (state->links != links_) return Errno(ESTALE);
    TRY(names.publish(staged));
    auto complete = names.require_all_of(key);
    if (!complete && !names.take_from(key, staged.fd())) log::warn("names of a copy that is not complete stay");
    return complete;
}

// The moment that decides: its old names go, and the node is the copy's.
Status Move::take_over(Staged& staged, const sys::FileKey& key, BranchIndex branch, const CopyNames& published) {
    const auto now = TRY(tree_.set().at(object_.branch).stat_fd(object_.fd));
    const auto same_time = [](const statx_timestamp& a, const statx_timestamp& b) {
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    LockedNode state(*node_);
    // Who looks for one of its names by going through the branches may have passed this one before it was there.
    tree_.counters().relocations.fetch_add(1, std::memory_order_acq_rel);
    // Nobody here changes it: somebody did on its branch.
    Status taken = Errno(ESTALE);
    if (state->links == links_ && now.stx_size == object_.st.stx_size && now.stx_nlink == object_.st.stx_nlink &&
        same_time(now.stx_mtime, object_.st.stx_mtime) && same_time(now.stx_ctime, object_.st.stx_ctime)) {
        taken = names_.take_from(sys::key_of(object_.st), object_.fd);
    }
    if (!taken) {
        if (!published.take_from(key, staged.fd())) log::warn("a copy of {} stays", links_[0].name);
        return taken;
    }
    move_source(tree_, state, key, branch);
    if (state->pinned.valid()) state->pinned = TRY(sys::reopen(staged.fd(), O_PATH));
    return {};
}

Status Move::move_to(BranchIndex branch) {
    for (const Link& link : links_) TRY(ensure_dir_on(tree_, link.parent, branch));
    WorkDir* work = TRY(tree_.workdir_of(branch));
    const Carry carry{tree_.set().at(object_.branch).ownership(), tree_.set().at(branch).ownership(),
                      tree_.set().ids()};
    const bool dense = object_.st.stx_size > 0 && object_.st.stx_blocks * 512 >= object_.st.stx_size;
    auto staged = TRY(stage_copy(*work,
                                 {.fd = object_.fd,
                                  .st = object_.st,
                                  .data_bytes = object_.st.stx_size,
                                  .carry = &carry,
                                  .reserve = dense,
                                  .sync = false},
                                 how_.cancelled));
    if (node_->is_regular()) TRY(sys::sync_file(staged.fd()));
    const CopyNames names = TRY(CopyNames::find(tree_, links_, branch));
    const auto key = sys::key_of(TRY(tree_.set().at(branch).stat_fd(staged.fd())));
    // Who meets the copy by its name comes here by its key.
    tree_.nodes().add_key(key, *node_);
    Defer not_ours([&] { tree_.nodes().drop_key(key, *node_); });
    TRY(publish(staged, key, names));
    auto settled = settle_names(tree_, links_, branch, staged.fd());
    if (!settled) {
        if (!names.take_from(key, staged.fd())) log::warn("a copy of {} stays", links_[0].name);
        return settled;
    }
    TRY(take_over(staged, key, branch, names));
    not_ours.cancel();
    return {};
}

Status Move::run() {
    auto object = tree_.find_object(node_);
    if (!object) return request_.full;
    object_ = std::move(*object);
    const std::string what = [&] {
        LockedNode state(*node_);
        return state->links.empty() ? std::string("a nameless file") : state->links[0].name;
    }();
    const std::string& from = tree_.set().at(object_.branch).path();
    if (const char* why = obstacle()) return stay(what, why);
    const auto ranking = rank();
    if (!ranking) return stay(what, "no other branch takes it: " + log::errno_text(ranking.error().value()));
    std::string why = "other branches have its name";
    for (BranchIndex branch : ranking->branches) {
        if (below_limit_ >= 0 && branch >= below_limit_) continue;
        auto moved = move_to(branch);
        tree_.set().at(branch).refresh_space();
        if (moved) {
            tree_.counters().moves.fetch_add(1, std::memory_order_relaxed);
            log::message(request_.why ? log::Level::debug : log::Level::info, "{} moved from {} to {}", what, from,
                         tree_.set().at(branch).path());
            close_descriptors();
            const BranchIndex left = object_.branch;
            object_.fd.reset();  // the last of it: from here on its space is free
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

Status Move::stay(const std::string& what, const std::string& why) {
    const std::string& from = tree_.set().at(object_.branch).path();
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
    if (TRY(take_turn(tree, node, request, how)) == Turn::moved_already) return {};
    Defer end([&] {
        {
            LockedNode state(*node);
            state->copying = state->moving = false;
        }
        tree.copy_condition(*node).notify_all();
    });
    return Move(tree, node, request, how).run();
}

}  // namespace plyfs

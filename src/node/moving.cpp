#include "node/moving.h"

#include <fcntl.h>

#include "base/defer.h"
#include "base/insist.h"
#include "base/log.h"
#include "node/changing.h"
#include "node/source.h"
#include "overlay/move_note.h"
#include "overlay/staging.h"
#include "sys/entry.h"
#include "sys/lock.h"
#include "sys/open.h"

namespace plyfs {
namespace {

bool same_time(const statx_timestamp& a, const statx_timestamp& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool is_unchanged(const sys::Stat& before, const sys::Stat& now) {
    return now.stx_size == before.stx_size && now.stx_nlink == before.stx_nlink &&
           same_time(now.stx_mtime, before.stx_mtime) && same_time(now.stx_ctime, before.stx_ctime);
}

Result<Staged> stage(Tree& tree, const Moving& moving, BranchIndex branch, const std::function<bool()>& cancelled) {
    const Located& object = moving.object;
    WorkDir* work = TRY(tree.workdir_of(branch));
    const Carry carry{tree.set().at(object.branch).ownership(), tree.set().at(branch).ownership(), tree.set().ids()};
    CopySource source{.fd = object.fd, .st = object.st, .carry = &carry, .sync = false};
    if (sys::is_regular(object.st)) {
        source.data_bytes = object.st.stx_size;
        source.reserve = object.st.stx_size > 0 && object.st.stx_blocks * 512 >= object.st.stx_size;
    }
    auto staged = TRY(stage_copy(*work, source, cancelled));
    if (sys::is_regular(object.st)) TRY(sys::sync_file(staged.fd()));
    return staged;
}

// One copy on its way to be the node's.
class Arrival {
  public:
    Arrival(Tree& tree, const Moving& moving, BranchIndex branch, Staged& staged, sys::FileKey key, CopyNames names)
        : tree_(tree), moving_(moving), branch_(branch), staged_(staged), key_(key), names_(std::move(names)) {}
    Status run();
    // Under some name although it is not the node's.
    bool stays() const { return stays_; }

  private:
    Status publish();
    Status take_over();
    void take_back();

    Tree& tree_;
    const Moving& moving_;
    const BranchIndex branch_;
    Staged& staged_;
    const sys::FileKey key_;
    const CopyNames names_;
    bool stays_ = false;
};

void Arrival::take_back() {
    if (names_.take_from(key_, staged_.fd())) return;
    stays_ = true;
    log::warn("a copy of {} stays on {}", moving_.links[0].name, tree_.set().at(branch_).path());
}

Status Arrival::publish() {
    if (moving_.links.empty()) return {};
    LockedNode state(*moving_.node);
    // Nobody takes a name away or gives one meanwhile, but one may have been met that we did not know.
    if (state->links != moving_.links) return Errno(ESTALE);
    expect_key(tree_, state, key_);
    TRY(names_.publish(staged_));
    auto complete = names_.require_all_of(key_);
    if (!complete) take_back();
    return complete;
}

// The moment that decides: its old names go, and the node is the copy's.
Status Arrival::take_over() {
    const Located& object = moving_.object;
    if (sys::is_regular(object.st) && TRY(sys::has_writers(object.fd))) return Errno(ESTALE);
    const auto now = TRY(tree_.set().at(object.branch).stat_fd(object.fd));
    auto pin = TRY(sys::reopen(staged_.fd(), O_PATH));  // nothing may fail once the names are gone
    LockedNode state(*moving_.node);
    // Who looks for one of its names by going through the branches may have passed this one before it was there.
    tree_.counters().relocations.fetch_add(1, std::memory_order_acq_rel);
    if (state->links != moving_.links || !is_unchanged(object.st, now)) return Errno(ESTALE);
    TRY(moving_.names.take_from(sys::key_of(object.st), object.fd));
    move_source(tree_, state, key_, branch_);
    if (state->pinned.valid()) state->pinned = std::move(pin);
    return {};
}

Status Arrival::run() {
    // Who meets the copy by its name comes here by its key.
    tree_.nodes().add_key(key_, *moving_.node);
    Defer not_ours([&] { tree_.nodes().drop_key(key_, *moving_.node); });
    TRY(publish());
    auto arrived = settle_names(tree_, moving_.links, branch_, staged_.fd());
    if (arrived) arrived = take_over();
    if (!arrived) {
        if (!moving_.links.empty()) take_back();
        return arrived;
    }
    not_ours.cancel();
    return {};
}

// Before the copy has a name.
Result<WorkDir::Temp> note_move(Tree& tree, const Moving& moving, WorkDir& work, const sys::Stat& copy) {
    const Branch& from = tree.set().at(moving.object.branch);
    MoveNote note{.from = from.path(),
                  .from_root = Sighting::of(TRY(sys::stat_fd(from.root()))),
                  .original = Sighting::of(moving.object.st),
                  .copy = Sighting::of(copy),
                  .paths = {}};
    note.copy.links = 0;
    for (const Link& link : moving.links) {
        note.paths.push_back((TRY(tree.path_of(link.parent)) + "/" + link.name).substr(1));
    }
    return work.keep_note(note.text());
}

// The note goes when one of the two is all there is.
void forget_move(const Moving& moving, const Arrival& arrival, const Status& moved, WorkDir& work,
                 const WorkDir::Temp& note) {
    const auto settle = [&] { return moving.names.settle_dirs(); };
    if (moved ? !insist(settle) : arrival.stays()) return;
    if (auto dropped = work.drop_note(note.name()); !dropped) {
        log::debug("a note of a move stays: {}", log::errno_text(dropped.error().value()));
    }
}

}  // namespace

Result<MoveTurn> begin_move(Tree& tree, const NodeRef& node, const CopyUpRequest& how,
                            const std::function<bool(LockedNode&)>& is_done) {
    LockedNode state(*node);
    if (is_done(state)) return MoveTurn::nothing_to_do;
    if (!how.may_block) return Errno(EINPROGRESS);
    TRY(keep_changes_out(tree, state, how));
    Defer give_up([&] { state->moving = false; });
    TRY(wait_until_copied(tree, state, how));
    if (is_done(state)) return MoveTurn::nothing_to_do;
    give_up.cancel();
    state->copying = true;
    return MoveTurn::ours;
}

void end_move(Tree& tree, const NodeRef& node) {
    {
        LockedNode state(*node);
        state->copying = state->moving = false;
    }
    tree.copy_condition(*node).notify_all();
}

Status find_names(Tree& tree, Moving& moving) {
    moving.names = TRY(CopyNames::find(tree, moving.links, moving.object.branch));
    return moving.names.require_all_of(sys::key_of(moving.object.st));
}

Status move_to(Tree& tree, const Moving& moving, BranchIndex branch, const std::function<bool()>& cancelled) {
    for (const Link& link : moving.links) TRY(ensure_dir_on(tree, link.parent, branch));
    auto staged = TRY(stage(tree, moving, branch, cancelled));
    const auto st = TRY(tree.set().at(branch).stat_fd(staged.fd()));
    Arrival arrival(tree, moving, branch, staged, sys::key_of(st), TRY(CopyNames::find(tree, moving.links, branch)));
    if (moving.links.empty()) return arrival.run();
    WorkDir& work = *TRY(tree.workdir_of(branch));
    const auto note = TRY(note_move(tree, moving, work, st));
    const Status moved = arrival.run();
    forget_move(moving, arrival, moved, work, note);
    return moved;
}

}  // namespace plyfs

#include "overlay/moves_left.h"

#include <algorithm>

#include "base/log.h"
#include "overlay/move_note.h"
#include "overlay/resolver.h"
#include "sys/attributes.h"
#include "sys/entry.h"
#include "sys/lock.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

struct Found {
    WalkedTo at;
    sys::Stat st;
};
using Names = std::vector<Found>;

// Those of the paths that lead to this object there.
Result<Names> names_of(const Branch& branch, const Sighting& object, const std::vector<std::string>& paths) {
    Names names;
    const auto is_absent = [](const auto& result) { return result.failed_with(ENOENT) || result.failed_with(ENOTDIR); };
    for (const auto& path : paths) {
        auto at = walk_from_root(branch.root(), path);
        if (is_absent(at)) continue;
        if (!at) return at.error();
        const auto st = branch.stat_at(at->dir, TRY(Name::parse(at->name)));
        if (is_absent(st)) continue;
        if (object.is(TRY(st))) names.push_back({std::move(*at), *st});
    }
    return names;
}

bool are_as_they_were(const Names& names, const Sighting& object) {
    return std::all_of(names.begin(), names.end(), [&](const Found& name) { return object.is_as_it_was(name.st); });
}

// No user did this, so the directories keep their times.
Status remove(const Names& names) {
    for (const auto& [at, st] : names) {
        const auto dir = TRY(sys::stat_fd(at.dir));
        TRY(sys::unlink_file(at.dir, TRY(Name::parse(at.name))));
        const auto kept = sys::set_times(at.dir, {dir.stx_atime.tv_sec, dir.stx_atime.tv_nsec},
                                         {dir.stx_mtime.tv_sec, dir.stx_mtime.tv_nsec});
        if (!kept) log::debug("times of a directory were not kept");
    }
    return {};
}

Status settle(const Branch& branch) {
    return sys::sync_file_system(TRY(sys::open_dir_for_reading(branch.root())));
}

class LeftMove {
  public:
    LeftMove(const BranchSet& set, BranchIndex to, const std::function<bool(BranchIndex)>& may_change, MoveNote note)
        : set_(set), to_(set.at(to)), may_change_(may_change), note_(std::move(note)) {}
    // False: it waits for a branch.
    Result<bool> run();

  private:
    Status find_original();
    bool waits_for_original() const;
    Status finish();
    Status take_back();
    void tell(log::Level level, const char* what) const;

    const BranchSet& set_;
    const Branch& to_;
    const std::function<bool(BranchIndex)>& may_change_;
    const MoveNote note_;
    const Branch* from_ = nullptr;  // null: no branch has the original
    Names originals_, copies_;
};

void LeftMove::tell(log::Level level, const char* what) const {
    log::message(level, "{} was on its way from {} to {} when a daemon ended: {}", note_.paths[0], note_.from,
                 to_.path(), what);
}

// By its names, as branches may be mounted elsewhere by now.
Status LeftMove::find_original() {
    for (const auto& branch : set_.all()) {
        if (branch.get() == &to_) continue;
        originals_ = TRY(names_of(*branch, note_.original, note_.paths));
        if (originals_.empty()) continue;
        from_ = branch.get();
        return {};
    }
    return {};
}

// Unless its branch is here, wherever it is mounted by now, and has it no more.
bool LeftMove::waits_for_original() const {
    const auto all = set_.all();
    return std::none_of(all.begin(), all.end(), [&](const auto& branch) {
        const auto root = sys::stat_fd(branch->root());
        return branch->present() && root && (branch->path() == note_.from || note_.from_root.is(*root));
    });
}

Status LeftMove::finish() {
    const WalkedTo& at = originals_[0].at;
    const auto original = TRY(sys::open_path(at.dir, TRY(Name::parse(at.name))));
    if (sys::is_regular(originals_[0].st) && TRY(sys::has_writers(original))) return Errno(EBUSY);
    TRY(settle(to_));
    TRY(remove(originals_));
    TRY(settle(*from_));
    tell(log::Level::info, "it is there now");
    return {};
}

Status LeftMove::take_back() {
    TRY(remove(copies_));
    TRY(settle(to_));
    tell(log::Level::info, "it stays where it was");
    return {};
}

Result<bool> LeftMove::run() {
    copies_ = TRY(names_of(to_, note_.copy, note_.paths));
    if (copies_.empty()) return true;  // it did not begin, or was removed since
    TRY(find_original());
    if (!from_) return !waits_for_original();
    const bool copied = copies_.size() == note_.paths.size(), is_whole = originals_.size() == note_.paths.size();
    const bool is_old = are_as_they_were(originals_, note_.original), is_new = are_as_they_were(copies_, note_.copy);
    const auto index = [](const Branch& branch) { return static_cast<BranchIndex>(branch.index()); };
    const bool may_finish = may_change_(index(*from_)), may_take_back = may_change_(index(to_));
    if (copied && is_old && may_finish && from_->writable()) return TRY(finish()), true;
    if (is_whole && is_new && may_take_back && to_.writable()) return TRY(take_back()), true;
    if (!may_finish || !may_take_back || !from_->writable() || !to_.writable()) return false;
    tell(log::Level::warn, "both were changed since, and both stay; `plyctl fsck` shows how they differ");
    return true;
}

// False: the note is still needed.
Result<bool> settle_noted(const BranchSet& set, BranchIndex to, const WorkDir& work, const Name& name,
                          const std::function<bool(BranchIndex)>& may_change) {
    const auto text = work.read_note(name);
    if (text.failed_with(EPERM) || text.failed_with(EFBIG)) return true;  // not ours
    auto note = MoveNote::parse(TRY(text));
    // One that was not written to its end is of a copy without a name.
    if (!note || note->paths.empty()) return true;
    return LeftMove(set, to, may_change, std::move(*note)).run();
}

}  // namespace

void settle_moves(const BranchSet& set, BranchIndex to, const WorkDir& work,
                  const std::function<bool(BranchIndex)>& may_change) {
    const auto notes = work.earlier_notes();
    if (!notes) return;
    for (const auto& written : *notes) {
        const auto name = Name::parse(written);
        if (!name) continue;
        const auto settled = settle_noted(set, to, work, *name, may_change);
        if (settled && !*settled) continue;
        const auto done = settled ? work.drop_note(*name) : Status(settled.error());
        if (done) continue;
        log::warn("{}: a move that a daemon was killed in is noted there and could not be settled: {}",
                  set.at(to).path(), log::errno_text(done.error().value()));
    }
}

}  // namespace plyfs

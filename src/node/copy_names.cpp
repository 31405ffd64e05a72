#include "node/copy_names.h"

#include <list>

#include "base/defer.h"
#include "base/log.h"
#include "node/kept_times.h"
#include "sys/entry.h"
#include "sys/open.h"

namespace plyfs {

Result<CopyNames> CopyNames::find(Tree& tree, const std::vector<Link>& links, BranchIndex branch) {
    CopyNames names;
    for (const Link& link : links) names.places_.push_back({TRY(tree.dir_on(link.parent, branch)), link.name});
    return names;
}

void CopyNames::add_first(UniqueFd index, std::string name) {
    places_.push_back({std::make_shared<const LayerDir>(std::move(index)), std::move(name)});
}

Status CopyNames::publish(Staged& staged) const {
    std::list<KeptTimes> keep;
    std::vector<const Place*> linked;
    Defer undo([&] {
        for (const Place* place : linked) {
            if (!sys::unlink_file(*place->dir, *Name::parse(place->name))) log::warn("{} stays", place->name);
        }
    });
    for (const Place& place : places_) keep.emplace_back(place.dir);
    // The first name last: it comes with append-only, which forbids others.
    for (std::size_t i = places_.size(); i-- > 1;) {
        auto done = sys::link_fd(staged.fd(), *places_[i].dir, TRY(Name::parse(places_[i].name)));
        if (!done && !done.failed_with(EEXIST)) return done;
        if (done) linked.push_back(&places_[i]);
    }
    if (!places_.empty()) TRY(staged.publish(*places_[0].dir, TRY(Name::parse(places_[0].name))));
    undo.cancel();
    return {};
}

Result<bool> CopyNames::leads_to(const Place& place, const sys::FileKey& key) {
    const auto st = sys::stat_at(*place.dir, TRY(Name::parse(place.name)));
    if (st.failed_with(ENOENT)) return false;
    return sys::key_of(TRY(st)) == key;
}

Status CopyNames::require_all_of(const sys::FileKey& key) const {
    for (const Place& place : places_) {
        if (!TRY(leads_to(place, key))) return Errno(ESTALE);
    }
    return {};
}

Status CopyNames::take_from(const sys::FileKey& key, BorrowedFd object) const {
    std::list<KeptTimes> keep;
    std::vector<const Place*> taken;
    Defer undo([&] {
        for (const Place* place : taken) {
            if (!sys::link_fd(object, *place->dir, *Name::parse(place->name))) log::warn("{} is lost", place->name);
        }
    });
    for (const Place& place : places_) keep.emplace_back(place.dir);
    for (const Place& place : places_) {
        if (!TRY(leads_to(place, key))) continue;
        TRY(sys::unlink_file(*place.dir, TRY(Name::parse(place.name))));
        taken.push_back(&place);
    }
    undo.cancel();
    return {};
}

Status CopyNames::settle_dirs() const {
    for (const Place& place : places_) TRY(sys::sync_file(TRY(sys::open_dir_for_reading(*place.dir))));
    return {};
}

Status settle_names(Tree& tree, const std::vector<Link>& links, BranchIndex branch, BorrowedFd object) {
    if (sys::is_regular(TRY(sys::stat_fd(object)))) TRY(sys::sync_file(object));
    for (const Link& link : links) {
        for (NodeRef dir = link.parent; dir;) {
            TRY(sys::sync_file(TRY(sys::open_dir_for_reading(*TRY(tree.dir_on(dir, branch))))));
            LockedNode state(*dir);
            NodeRef parent = state->links.empty() ? NodeRef() : state->links[0].parent;
            dir = std::move(parent);
        }
    }
    return {};
}

}  // namespace plyfs
